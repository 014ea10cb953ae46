//! Before Python: making the process what a worker is, and connecting it to its supervisor.
//!
//! Whatever fails here is the installation's fault, not the script's: one line on standard error,
//! and exit status 1.

use crate::args::{Args, ArgsError};
use crate::link::{Inbox, Outgoing};
use crate::python::interpreter::{self, StartError};
use crate::zombies;
use mm_shared::control::{FromWorker, PROTOCOL};
use mm_shared::control_link::{LinkError, ToWorkerListener};
use mm_shared::frame::FrameError;
use mm_shared::sys::process;
use mm_shared::{Violation, WorkerEnd};
use signal_hook::consts::SIGTERM;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

/// Why a worker cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Arguments(#[from] ArgsError),
    #[error("the supervisor that started this worker is gone: {0}")]
    Orphaned(io::Error),
    #[error("the signals cannot be set up: {0}")]
    Signals(io::Error),
    #[error(
        "the event segments cannot be attached: {0}\nhint: mm-supervisor and mm-worker have to be of one build"
    )]
    Attach(io::Error),
    #[error("no socket for the supervisor can be made, neither in `{}` nor elsewhere: {error}", directory.display())]
    Listen { directory: PathBuf, error: LinkError },
    #[error(
        "the supervisor's boot message cannot be read: {0}\nhint: mm-supervisor and mm-worker have to be of one build"
    )]
    Boot(#[from] FrameError),
    #[error("the supervisor said `{0}` out of turn")]
    OutOfTurn(&'static str),
    #[error("the event ring is damaged: {0}")]
    Ring(#[from] Violation),
    #[error("the system refuses what a worker needs: {0}")]
    System(#[from] io::Error),
    #[error(transparent)]
    Interpreter(#[from] StartError),
    #[error("the interpreter is not usable: {0}")]
    Python(#[from] pyo3::PyErr),
}

impl From<nix::errno::Errno> for WorkerError {
    fn from(error: nix::errno::Errno) -> WorkerError {
        WorkerError::System(error.into())
    }
}

/// What a worker holds before it is an instance.
pub struct Process {
    pub end: WorkerEnd,
    pub inbox: Inbox,
    pub outgoing: Outgoing,
    pub term: Term,
}

/// The request to stop that comes as a signal.
///
/// Unless it is told to [`listen`](Term::listen), TERM has its default effect: nothing is lost by
/// it while the modules are imported, and an exit that takes too long is to be cut short.
pub struct Term {
    bell: UnixStream,
    hammer: UnixStream,
}

/// Name, protocol and the interpreter's version, in one line.
pub fn version() -> String {
    let (package, python) = (env!("CARGO_PKG_VERSION"), interpreter::version());
    format!("mm-worker {package} (protocol {PROTOCOL}, Python {python})")
}

/// Makes this process a worker and says hello.
pub fn start(args: &Args) -> Result<Process, WorkerError> {
    process::lead_session();
    process::die_with_parent(args.parent).map_err(WorkerError::Orphaned)?;
    // what a script leaves behind stays below this process, and goes with it
    process::adopt_orphans()?;
    zombies::start()?;
    let term = signals().map_err(WorkerError::Signals)?;
    let (end, control) = mm_shared::attach(args.fds, args.ring_sizes).map_err(WorkerError::Attach)?;
    let listener = ToWorkerListener::new(&args.directory)
        .map_err(|error| WorkerError::Listen { directory: args.directory.clone(), error })?;
    let outgoing = Outgoing::start(control)?;
    let address = listener.address().to_owned();
    outgoing.send(FromWorker::Hello { protocol: PROTOCOL, pid: std::process::id(), address });
    Ok(Process { end, inbox: Inbox::start(listener)?, outgoing, term })
}

fn signals() -> io::Result<Term> {
    process::reset_signals()?;
    process::ignore_interrupt_and_pipe()?;
    let (bell, hammer) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    hammer.set_nonblocking(true)?;
    // in this order: the first of them may end the process
    signal_hook::flag::register_conditional_default(SIGTERM, TERM.kills.clone())?;
    signal_hook::flag::register(SIGTERM, TERM.requested.clone())?;
    signal_hook::low_level::pipe::register(SIGTERM, hammer.try_clone()?)?;
    Ok(Term { bell, hammer })
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
        // it ends the process, or TERM could not do it either
        let _ = signal_hook::low_level::emulate_default_handler(SIGTERM);
    }
}

/// Ends the process when it cannot go on, without touching what may be damaged.
pub fn fail(error: &WorkerError) -> ! {
    eprintln!("mm-worker: {error}");
    signal_hook::low_level::exit(1)
}

impl Term {
    /// From now on TERM is a request.
    pub fn listen(&self) {
        TERM.kills.store(false, Ordering::SeqCst);
    }

    /// Where Python writes when a signal has come that the script handles: that wakes the loop too.
    /// Without it, a signal just before the loop falls asleep would wait for the next event.
    pub fn wakeup_fd(&self) -> RawFd {
        self.hammer.as_raw_fd()
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
