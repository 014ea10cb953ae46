//! What connects a worker and its supervisor from the start: two segments, doorbells, and the pipe
//! for messages.
//!
//! The segments are memory files without a name, made for one worker each. In this order: their
//! memory is allocated, so that touching it cannot fail later; the supervisor maps *down* for
//! writing; then they are sealed. From then on no process can change their length, add a seal, or
//! map *down* for writing. The supervisor maps *up* for reading only: each segment has one writer.

use crate::control_link::{self, FromWorkerReceiver, FromWorkerSender};
use crate::ring::layout::{
    BLOCK_WORDS, CONSUMER_AT, PRODUCER_AT, PROGRESS_AT, PROGRESS_WORDS, SLOTS_AT, segment_len, slot_words,
};
use crate::ring::mapping::{Mapping, ReadOnly, ReadWrite};
use crate::{Consumer, Doorbell, Mapped, Producer, ProgressReader, ProgressWriter};
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

mod descriptors;
mod ring_sizes;

pub use descriptors::{RawFds, WorkerFds};
pub use ring_sizes::{RingSizes, RingSizesError};

/// The supervisor's end of a worker's data plane.
pub struct SupervisorEnd {
    /// Events for the worker.
    pub down: Producer<Mapped>,
    /// Events from the worker.
    pub up: Consumer<Mapped>,
    /// The worker's activity.
    pub progress: ProgressReader,
    /// Rung here when `down.publish()` returns true.
    pub bell_to_worker: Doorbell,
    /// Rung by the worker when there is something in `up`, or space in `down` that is waited for.
    pub bell_from_worker: Doorbell,
    /// Rung here when `up.wants_space()` returns true.
    pub space: Doorbell,
}

/// The worker's end of its data plane.
pub struct WorkerEnd {
    /// Events from the supervisor.
    pub down: Consumer<Mapped>,
    /// Events for the supervisor.
    pub up: Producer<Mapped>,
    /// This worker's activity.
    pub progress: ProgressWriter,
    /// Rung by the supervisor when there is something in `down`.
    pub bell_to_worker: Doorbell,
    /// Rung here when `up.publish()` or `down.wants_space()` returns true.
    pub bell_from_worker: Doorbell,
    /// Rung by the supervisor when there is space in `up` that is waited for.
    pub space: Doorbell,
}

/// Makes what connects a new worker: the supervisor's end of its data plane, the receiver of its
/// messages, and the descriptors for the worker.
///
/// # Errors
///
/// Those of the system (out of descriptors or memory), and `InvalidInput` for impossible sizes.
pub fn create(ring_sizes: RingSizes) -> io::Result<(SupervisorEnd, FromWorkerReceiver, WorkerFds)> {
    ring_sizes.check()?;
    let down_len = segment_len(ring_sizes.down_slots);
    let up_len = segment_len(ring_sizes.up_slots);
    let (down, up) = (allocate(c"mm-down", down_len)?, allocate(c"mm-up", up_len)?);
    let own = Mapping::new(&down, down_len)?;
    seal(&down, SealFlag::F_SEAL_FUTURE_WRITE | SealFlag::F_SEAL_SEAL)?;
    seal(&up, SealFlag::F_SEAL_SEAL)?;
    let peer = Mapping::new(&up, up_len)?;
    let (bell_to_worker, heard_by_worker) = Doorbell::pair()?;
    let (rung_by_worker, bell_from_worker) = Doorbell::pair()?;
    let (space, space_for_worker) = Doorbell::pair()?;
    let (control, worker_control) = control_link::pair()?;
    let fds = WorkerFds {
        down,
        up,
        bell_to_worker: heard_by_worker.into(),
        bell_from_worker: rung_by_worker.into(),
        space: space_for_worker.into(),
        control: worker_control,
    };
    let bells = [bell_to_worker, bell_from_worker, space];
    Ok((supervisor_end(ring_sizes, &own, &peer, bells)?, control, fds))
}

/// Takes the descriptors that this process inherited, and maps the segments behind them.
///
/// # Errors
///
/// Those of [`RawFds::claim`] and [`adopt`].
pub fn attach(fds: RawFds, ring_sizes: RingSizes) -> io::Result<(WorkerEnd, FromWorkerSender)> {
    adopt(fds.claim()?, ring_sizes)
}

/// Maps the segments behind descriptors that this process owns already.
///
/// # Errors
///
/// Those of the system, and `InvalidData` when the segments are not sealed or not of these sizes.
pub fn adopt(fds: WorkerFds, ring_sizes: RingSizes) -> io::Result<(WorkerEnd, FromWorkerSender)> {
    ring_sizes.check()?;
    let own = Mapping::<ReadWrite>::new(&fds.up, segment_len(ring_sizes.up_slots))?;
    let peer = Mapping::<ReadOnly>::new(&fds.down, segment_len(ring_sizes.down_slots))?;
    let end = WorkerEnd {
        down: consumer(ring_sizes.down_slots, &own, &peer)?,
        up: producer(ring_sizes.up_slots, &own, &peer)?,
        progress: ProgressWriter::new(own.region(PROGRESS_AT, PROGRESS_WORDS)?),
        bell_to_worker: fds.bell_to_worker.into(),
        bell_from_worker: fds.bell_from_worker.into(),
        space: fds.space.into(),
    };
    Ok((end, fds.control.into()))
}

fn supervisor_end(
    ring_sizes: RingSizes,
    own: &Arc<Mapping<ReadWrite>>,
    peer: &Arc<Mapping<ReadOnly>>,
    [bell_to_worker, bell_from_worker, space]: [Doorbell; 3],
) -> io::Result<SupervisorEnd> {
    Ok(SupervisorEnd {
        down: producer(ring_sizes.down_slots, own, peer)?,
        up: consumer(ring_sizes.up_slots, own, peer)?,
        progress: ProgressReader::new(peer.region(PROGRESS_AT, PROGRESS_WORDS)?),
        bell_to_worker,
        bell_from_worker,
        space,
    })
}

fn producer(
    slots: u32,
    own: &Arc<Mapping<ReadWrite>>,
    peer: &Arc<Mapping<ReadOnly>>,
) -> io::Result<Producer<Mapped>> {
    let words = own.region(PRODUCER_AT, BLOCK_WORDS)?;
    let slots = own.region(SLOTS_AT, slot_words(slots))?;
    Ok(Producer::new(words, slots, peer.region(CONSUMER_AT, BLOCK_WORDS)?))
}

fn consumer(
    slots: u32,
    own: &Arc<Mapping<ReadWrite>>,
    peer: &Arc<Mapping<ReadOnly>>,
) -> io::Result<Consumer<Mapped>> {
    let words = own.region(CONSUMER_AT, BLOCK_WORDS)?;
    let slots = peer.region(SLOTS_AT, slot_words(slots))?;
    Ok(Consumer::new(words, slots, peer.region(PRODUCER_AT, BLOCK_WORDS)?))
}

/// A memory file of `len` bytes that are really there, its length fixed.
fn allocate(name: &std::ffi::CStr, len: usize) -> io::Result<OwnedFd> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let len = i64::try_from(len).map_err(io::Error::other)?;
    ftruncate(&fd, len)?;
    fallocate(&fd, FallocateFlags::empty(), 0, len)?;
    seal(&fd, SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)?;
    Ok(fd)
}

fn seal(fd: &OwnedFd, seals: SealFlag) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(())
}
