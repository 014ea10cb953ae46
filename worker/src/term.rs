//! TERM as a request to stop, and the other signals of a worker.

use mm_shared::sys::process;
use signal_hook::consts::SIGTERM;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// The request to stop that comes as a signal.
///
/// Unless it is told to [`listen`](Term::listen), TERM has its default effect: nothing is lost by
/// it while the modules are imported, and an exit that takes too long is to be cut short.
pub struct Term {
    bell: UnixStream,
    wake_writer: UnixStream,
}

/// Static, because a child that the script forks has to get at it.
static TERM: LazyLock<TermFlags> =
    LazyLock::new(|| TermFlags { kills: Arc::new(AtomicBool::new(true)), requested: Arc::default() });

struct TermFlags {
    /// TERM has its default effect.
    kills: Arc<AtomicBool>,
    /// TERM has come while it had not.
    requested: Arc<AtomicBool>,
}

/// From now on TERM ends the process at once.
pub fn let_term_kill() {
    TERM.kills.store(true, Ordering::SeqCst);
}

/// The same in a child that was just forked, also if TERM came while it still took that for a
/// request.
pub fn let_term_kill_child() {
    let_term_kill();
    if TERM.requested.load(Ordering::SeqCst) {
        // It ends the process, or TERM could not do it either.
        let _ = signal_hook::low_level::emulate_default_handler(SIGTERM);
    }
}

impl Term {
    /// Sets up the signals of a worker.
    ///
    /// # Errors
    ///
    /// The system refuses a handler or a socket.
    pub fn start() -> io::Result<Self> {
        process::reset_signals()?;
        process::ignore_interrupt_and_write_errors()?;
        let (bell, wake_writer) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        wake_writer.set_nonblocking(true)?;
        // In this order: the first of them may end the process.
        signal_hook::flag::register_conditional_default(SIGTERM, TERM.kills.clone())?;
        signal_hook::flag::register(SIGTERM, TERM.requested.clone())?;
        signal_hook::low_level::pipe::register(SIGTERM, wake_writer.try_clone()?)?;
        Ok(Self { bell, wake_writer })
    }

    /// From now on TERM is a request.
    pub fn listen(&self) {
        TERM.kills.store(false, Ordering::SeqCst);
    }

    /// Where Python writes when a signal has come that the script handles: that wakes the loop too.
    /// Without it, a signal just before the loop falls asleep would wait for the next event.
    pub fn wakeup_fd(&self) -> RawFd {
        self.wake_writer.as_raw_fd()
    }

    /// Makes room for further wake-ups.
    pub fn drain(&self) {
        let mut bytes = [0; 64];
        while (&self.bell).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }

    /// Whether TERM has come.
    pub fn is_requested(&self) -> bool {
        TERM.requested.load(Ordering::Relaxed)
    }
}

impl AsFd for Term {
    /// Readable (to be watched by edge) when TERM, or a signal for Python, has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
