//! Words in mapped memory that another process has mapped too.
//!
//! Why the `unsafe` here is sound, whatever that process does:
//!
//! - The memory stays. A mapping lives as long as the last region of it, and the file behind it
//!   cannot shrink: its length and its seals are checked before it is mapped.
//! - Accesses stay inside. A region is checked against the mapping once, when it is made; after
//!   that every index is masked by the region's length, a power of two.
//! - No data race. Every access is an atomic operation on an aligned word, so a concurrent write of
//!   the other process gives some value and nothing worse. The reference to the atomic, which is
//!   all that Rust ever sees of the memory, lives for that one operation.
//! - Writing needs a type that only a writable mapping has: a store into a read-only one does not
//!   compile.

use super::memory::{Load, Memory, Store};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One side's view of segments: its own is writable, its peer's is not.
pub struct Mapped;

impl Memory for Mapped {
    type Own = Region<ReadWrite>;
    type Peer = Region<ReadOnly>;
}

/// What a mapping is good for.
pub trait Access {
    /// The protection that it is mapped with.
    const PROTECTION: ProtFlags;
}

/// A mapping that can only be read.
pub enum ReadOnly {}

/// A mapping that can be written too.
pub enum ReadWrite {}

impl Access for ReadOnly {
    const PROTECTION: ProtFlags = ProtFlags::PROT_READ;
}

impl Access for ReadWrite {
    const PROTECTION: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);
}

/// The whole of a file, mapped.
pub struct Mapping<A> {
    base: NonNull<c_void>,
    len: NonZeroUsize,
    access: PhantomData<fn() -> A>,
}

// SAFETY: the memory belongs to the process, not to a thread, and is only accessed by atomic
// operations
unsafe impl<A> Send for Mapping<A> {}
// SAFETY: the same; there is no state but the memory
unsafe impl<A> Sync for Mapping<A> {}

impl<A: Access> Mapping<A> {
    /// Maps the memory file `fd`, which must be `len` bytes long and sealed against shrinking.
    ///
    /// # Errors
    ///
    /// Those of the system, and `InvalidData` for another length or a missing seal.
    pub fn new(fd: impl AsFd, len: usize) -> io::Result<Arc<Mapping<A>>> {
        check(&fd, len)?;
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that is in
        // use
        let base = unsafe { mmap(None, len, A::PROTECTION, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Arc::new(Mapping { base, len, access: PhantomData }))
    }

    /// `words` words, a power of two, from `offset` bytes on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when that is not a power of two, not aligned, or not inside of the mapping.
    pub fn region(self: &Arc<Self>, offset: usize, words: usize) -> io::Result<Region<A>> {
        let end = words.checked_mul(size_of::<u64>()).and_then(|bytes| bytes.checked_add(offset));
        let inside = end.is_some_and(|end| end <= self.len.get());
        if !inside || !words.is_power_of_two() || !offset.is_multiple_of(size_of::<u64>()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: `offset` lies inside of the mapping, as was just checked
        let base = unsafe { self.base.byte_add(offset) };
        Ok(Region { base: base.cast(), mask: words - 1, mapping: Arc::clone(self) })
    }
}

/// A file that could shrink would make every access to it a possible SIGBUS.
fn check(fd: &impl AsFd, len: usize) -> io::Result<()> {
    if u64::try_from(fstat(fd)?.st_size).ok() != u64::try_from(len).ok() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the segment has another length"));
    }
    let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS)?);
    if !seals.contains(SealFlag::F_SEAL_SHRINK) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the segment is not sealed"));
    }
    Ok(())
}

impl<A> Drop for Mapping<A> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and every region of it held a count that is gone now
        let unmapped = unsafe { munmap(self.base, self.len.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

/// A block of words in a mapping.
pub struct Region<A> {
    base: NonNull<u64>,
    mask: usize,
    /// Held, not used: it keeps the memory.
    #[expect(dead_code, reason = "keeps the memory mapped")]
    mapping: Arc<Mapping<A>>,
}

// SAFETY: the memory belongs to the process, not to a thread, and is only accessed by atomic
// operations
unsafe impl<A> Send for Region<A> {}

impl<A> Region<A> {
    #[inline]
    fn word(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the region has `mask + 1` words, all inside of the mapping
        let word = unsafe { self.base.add(index & self.mask) };
        // SAFETY: aligned, mapped as long as `self` lives, and accessed by atomic operations only
        unsafe { AtomicU64::from_ptr(word.as_ptr()) }
    }
}

impl<A> Load for Region<A> {
    #[inline]
    fn words(&self) -> usize {
        self.mask + 1
    }

    #[inline]
    fn load(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }
}

impl Store for Region<ReadWrite> {
    #[inline]
    fn store(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Relaxed);
    }

    #[inline]
    fn store_release(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Release);
    }
}
