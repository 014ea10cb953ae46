//! The receiving port of ALSA, with a thread of its own.
//!
//! It replaces that of midir: the kernel keeps 200 events for a client of midir and drops all of
//! them with one more, which midir does not report. This port asks for as many as the kernel gives,
//! and counts overflows.

use crate::backends::midi::rx_queue::RxStream;
use alsa::poll::{Descriptors, Flags, poll, pollfd};
use alsa::seq::{Addr, Event, EventType, MidiEvent, PortCap, PortType, Seq};
use alsa::{Direction, Output};
use mm_shared::Doorbell;
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// Events that the kernel keeps for this client, the most that it allows.
const POOL_CAPACITY: u32 = 2000;

/// The longest event that is not system-exclusive, in bytes: a parameter, as four controllers.
const EVENT_SIZE_LIMIT: usize = 12;

/// The port. Dropping it closes the port and ends the thread; that may block.
pub struct AlsaRxPort {
    pub address: Addr,
    /// Ends the thread.
    ending: Arc<Doorbell>,
    thread: Option<JoinHandle<()>>,
}

impl AlsaRxPort {
    /// Opens a port with these names, whose messages go to `stream`.
    ///
    /// # Errors
    ///
    /// The system's reason.
    pub fn open(client: &CStr, port: &CStr, stream: RxStream) -> Result<Self, String> {
        let (seq, address) = open_port(client, port).map_err(|error| error.to_string())?;
        let ending = Arc::new(Doorbell::new().map_err(|error| error.to_string())?);
        let bell = Arc::clone(&ending);
        let thread = Builder::new().name("midi-in".into()).spawn(move || {
            // Keeps the library from printing failures in this thread.
            let _ = Output::local_error_handler();
            receive(&seq, &bell, stream);
        });
        Ok(Self { address, ending, thread: Some(thread.map_err(|error| error.to_string())?) })
    }

    /// Whether the thread runs.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for AlsaRxPort {
    fn drop(&mut self) {
        self.ending.ring();
        if let Some(thread) = self.thread.take() {
            // A thread that has panicked has ended too.
            let _ = thread.join();
        }
    }
}

fn open_port(client: &CStr, port: &CStr) -> alsa::Result<(Seq, Addr)> {
    let seq = Seq::open(None, Some(Direction::Capture), true)?;
    seq.set_client_name(client)?;
    seq.set_client_pool_input(POOL_CAPACITY)?;
    let kind = PortType::MIDI_GENERIC | PortType::APPLICATION;
    let port = seq.create_simple_port(port, PortCap::WRITE | PortCap::SUBS_WRITE, kind)?;
    let address = Addr { client: seq.client_id()?, port };
    Ok((seq, address))
}

/// Receives until the bell rings, or the sequencer fails.
fn receive(seq: &Seq, bell: &Doorbell, mut stream: RxStream) {
    let (Ok(coder), Ok(own)) =
        (MidiEvent::new(EVENT_SIZE_LIMIT as u32), (seq, Some(Direction::Capture)).get())
    else {
        return;
    };
    coder.enable_running_status(false);
    let bell = pollfd { fd: bell.as_raw_fd(), events: Flags::IN.bits(), revents: 0 };
    let mut descriptors: Vec<_> = [bell].into_iter().chain(own).collect();
    while poll(&mut descriptors, -1).is_ok() {
        if descriptors.first().is_some_and(|bell| bell.revents != 0) || !drain(seq, &coder, &mut stream) {
            return;
        }
    }
}

/// Receives all events that wait. Returns false if the sequencer has failed.
fn drain(seq: &Seq, coder: &MidiEvent, stream: &mut RxStream) -> bool {
    let mut input = seq.input();
    loop {
        match input.event_input() {
            Ok(event) => forward(event, coder, stream),
            Err(error) => match Errno::from_raw(error.errno()) {
                Errno::EAGAIN => return true,
                Errno::EINTR => {}
                // The kernel had no space left, and has dropped all events.
                Errno::ENOSPC => stream.count_dropped(u64::from(POOL_CAPACITY)),
                _ => return false,
            },
        }
    }
}

fn forward(mut event: Event<'_>, coder: &MidiEvent, stream: &mut RxStream) {
    if event.get_type() == EventType::Sysex {
        // A long message arrives in parts, with other messages between them. The content does not
        // matter.
        if event.get_ext().is_some_and(|bytes| bytes.first() == Some(&0xf0)) {
            stream.receive(&[0xf0, 0xf7]);
        }
        return;
    }
    let mut bytes = [0; EVENT_SIZE_LIMIT];
    // Events that are not MIDI messages, such as that of a connection, have no bytes.
    if let Some(bytes) = coder.decode(&mut bytes, &mut event).ok().and_then(|length| bytes.get(..length)) {
        stream.receive(bytes);
    }
}
