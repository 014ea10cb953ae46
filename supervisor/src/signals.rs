//! Signals as events of the loop: INT and TERM end the show, HUP reads its file again, or ends it
//! where it means that the terminal was closed. No other signal
//! ends the show, apart from QUIT and ABRT, by which a person asks for a core dump, and those of
//! faults.
//!
//! They are caught from the first moment on. Until the show runs there is nothing to stop, so INT
//! and TERM end the program at once with status 0. From then on they only wake the loop.
//!
//! Ignored signals stay ignored in child processes, so the reaper and the workers reset them at
//! their start.

use mm_shared::sys::process::ignore_stray_signals;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The signals that the supervisor handles.
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    hangup: Hangup,
    nothing_runs_yet: Arc<AtomicBool>,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalRequest {
    /// INT, TERM, or HUP of a terminal: end the show.
    End,
    /// HUP: read the show file again.
    Reread,
}

/// What HUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hangup {
    /// A user or the service manager asks to read the show file again.
    Reread,
    /// The terminal was closed.
    End,
}

impl Hangup {
    /// What HUP means for a show whose log goes to a terminal, and for any other.
    #[must_use]
    pub fn of(is_on_terminal: bool, keep_running: bool) -> Self {
        if is_on_terminal && !keep_running { Self::End } else { Self::Reread }
    }
}

impl Signals {
    /// Catches the signals that mean something, and ignores those that do not.
    ///
    /// # Errors
    ///
    /// The system refuses a socket or a handler.
    pub fn catch(hangup: Hangup) -> io::Result<Self> {
        ignore_stray_signals()?;
        let nothing_runs_yet = Arc::new(AtomicBool::new(true));
        let ends = [SIGINT, SIGTERM].into_iter().chain((hangup == Hangup::End).then_some(SIGHUP));
        for signal in ends {
            register_conditional_shutdown(signal, 0, Arc::clone(&nothing_runs_yet))?;
        }
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, [SIGINT, SIGTERM, SIGHUP])?;
        Ok(Self { delivery, hangup, nothing_runs_yet })
    }

    /// From here on there is something to stop: signals only wake the loop.
    pub fn show_begins(&self) {
        self.nothing_runs_yet.store(false, Ordering::SeqCst);
    }

    /// The descriptor that becomes readable when a signal has arrived.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }

    /// The requests since the last call.
    pub fn pending(&mut self) -> Vec<SignalRequest> {
        let hangup = self.hangup;
        let requests = self.delivery.pending().map(|signal| match signal {
            SIGHUP if hangup == Hangup::Reread => SignalRequest::Reread,
            _ => SignalRequest::End,
        });
        requests.collect()
    }
}
