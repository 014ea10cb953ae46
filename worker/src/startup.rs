//! Before Python: making the process what a worker is, and connecting it to its supervisor.
//!
//! Whatever fails here is the installation's fault, not the script's: one line on standard error,
//! and exit status 1.

use crate::args::Args;
use crate::error::WorkerError;
use crate::link::{Inbox, Outgoing};
use crate::python::interpreter;
use crate::term::Term;
use crate::zombies;
use mm_shared::WorkerEnd;
use mm_shared::control::{FromWorker, PROTOCOL};
use mm_shared::control_link::ToWorkerListener;
use mm_shared::sys::{limits, process};

/// What a worker holds before it is an instance.
pub struct Process {
    pub end: WorkerEnd,
    pub inbox: Inbox,
    pub outgoing: Outgoing,
    pub term: Term,
}

/// Name, protocol and the interpreter's version, in one line.
pub fn version() -> String {
    let (package, python) = (env!("CARGO_PKG_VERSION"), interpreter::version());
    format!("mm-worker {package} (protocol {PROTOCOL}, Python {python})")
}

/// Makes this process a worker and says hello.
pub fn start(args: &Args) -> Result<Process, WorkerError> {
    process::lead_session();
    if let Err(error) = limits::give_up_privileges() {
        eprintln!("mm-worker: the script keeps a privilege of the supervisor: {error}");
    }
    process::die_with_parent(args.parent).map_err(WorkerError::Orphaned)?;
    // What a script leaves behind stays below this process, and ends with it.
    process::adopt_orphans()?;
    zombies::start()?;
    let term = Term::start().map_err(WorkerError::Signals)?;
    let (end, control) = mm_shared::attach(args.fds, args.ring_sizes).map_err(WorkerError::Attach)?;
    let listener = ToWorkerListener::new(&args.directory)
        .map_err(|error| WorkerError::Listen { directory: args.directory.clone(), error })?;
    let outgoing = Outgoing::start(control)?;
    let address = listener.address().to_owned();
    outgoing.send(FromWorker::Hello { protocol: PROTOCOL, pid: std::process::id(), address });
    Ok(Process { end, inbox: Inbox::start(listener)?, outgoing, term })
}
