//! Notices exceptions which show that another process holds what the script needs: a port, a
//! device, a lock. While a worker is started beside another one, that other one is the likely
//! holder, and the supervisor stops it first.
//!
//! Such an exception may end the import, or a thread or a task which the script has started there
//! and which nothing waits for. Python shows the latter to hooks that scripts may replace, so
//! `busy.py` looks on one step before.

use super::embedded::embedded;
use super::{is_forked, traceback};
use crate::link::Outgoing;
use mm_shared::control::{Failure, FailureSubject, FromWorker};
use nix::errno::Errno;
use pyo3::exceptions::{PyBaseException, PyNameError, PySyntaxError, PyUnboundLocalError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::ffi::CStr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the threads of a worker that was started beside another one have to show that they can
/// do their work. The other one serves in that time.
const SETTLE_TIME: Duration = Duration::from_millis(500);

/// How many exceptions of a chain are looked at.
const CHAIN_LIMIT: usize = 64;

/// Errors of what there is only one of: an address, a device, a lock.
const BUSY_CODES: [Errno; 3] = [Errno::EADDRINUSE, Errno::EBUSY, Errno::EAGAIN];

/// The same in the words of libraries that do not pass the number on.
const BUSY_TEXTS: [&str; 8] = [
    "[errno 98]",
    "[errno 16]",
    "address already in use",
    "resource busy",
    "resource temporarily unavailable",
    "gpio busy",
    "database is locked",
    "device unavailable",
];

/// What makes a refused access (EACCES) one of these errors: another process has exclusive access.
const EXCLUSIVE_TEXTS: [&str; 2] = ["lock", "exclusive"];

const CODE: &CStr = embedded(concat!(include_str!("after_import.py"), include_str!("busy.py"), "\0"));

static NOTES: Mutex<Notes> = Mutex::new(Notes { failure: None, report: None });

/// A failure was noted.
static NOTED: Condvar = Condvar::new();

struct Notes {
    /// The first failure.
    failure: Option<Failure>,
    /// Where the first failure goes, once the worker is ready.
    report: Option<Outgoing>,
}

/// Begins to look on.
pub fn start(py: Python<'_>) -> PyResult<()> {
    let globals = PyDict::new(py);
    globals.set_item("__builtins__", py.import("builtins")?)?;
    globals.set_item("note", wrap_pyfunction!(note, py)?)?;
    py.run(CODE, Some(&globals), None)
}

/// Waits for the threads that the import has started, if there are any. Returns the failure of one
/// that lacks what the serving worker holds.
pub fn settle(py: Python<'_>) -> Option<Failure> {
    let deadline = Instant::now() + SETTLE_TIME;
    if has_threads(py) {
        py.detach(|| {
            let mut notes = lock();
            while notes.failure.is_none() {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                notes = NOTED.wait_timeout(notes, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        });
    }
    lock().failure.take()
}

/// The worker is ready: from now on a failure is sent, also one that was noted before.
pub fn report_to(outgoing: &Outgoing) {
    let mut notes = lock();
    if let Some(failure) = &notes.failure {
        outgoing.send(FromWorker::ResourceBusy(failure.summary.clone()));
    }
    notes.report = Some(outgoing.clone());
}

/// Notes an exception that ends a thread, a task or a callback.
#[pyfunction]
fn note(error: Option<&Bound<'_, PyBaseException>>) {
    if let Some(error) = error {
        note_error(error.py(), &PyErr::from_value(error.clone().into_any()));
    }
}

/// Notes an exception that nothing of the script handles.
pub fn note_error(py: Python<'_>, error: &PyErr) {
    if is_forked() || lock().failure.is_some() || !is_busy(py, error) {
        return;
    }
    let (summary, traceback) = (traceback::summary(py, error), traceback::format(py, error));
    let failure = Failure { subject: FailureSubject::Other, summary, traceback, hint: None, is_busy: true };
    let mut notes = lock();
    if notes.failure.is_some() {
        return;
    }
    if let Some(outgoing) = &notes.report {
        outgoing.send(FromWorker::ResourceBusy(failure.summary.clone()));
    }
    notes.failure = Some(failure);
    drop(notes);
    NOTED.notify_all();
}

/// Whether an exception, or one that it follows from, shows that another process holds what the
/// script needs. A mistake in the code that handles such an exception does not.
pub fn is_busy(py: Python<'_>, error: &PyErr) -> bool {
    if is_mistake(py, error) {
        return false;
    }
    let mut chain = vec![error.value(py).clone().into_any()];
    let mut looked = 0;
    while let Some(error) = chain.pop() {
        looked += 1;
        if looked > CHAIN_LIMIT {
            return false;
        }
        if is_busy_itself(&error) {
            return true;
        }
        let linked = ["__cause__", "__context__"].into_iter().filter_map(|name| error.getattr(name).ok());
        chain.extend(linked.filter(|linked| !linked.is_none()));
        if let Ok(group) = error.getattr("exceptions")
            && let Ok(group) = group.cast_into::<PyTuple>()
        {
            chain.extend(group.iter().take(CHAIN_LIMIT));
        }
    }
    false
}

/// Whether the script is wrong, whatever led there: a name that does not exist, a syntax error. A
/// local name without a value does not count: `finally` branches close what could not be opened.
fn is_mistake(py: Python<'_>, error: &PyErr) -> bool {
    let is_name = error.is_instance_of::<PyNameError>(py) && !error.is_instance_of::<PyUnboundLocalError>(py);
    let is_meant = error.cause(py).is_some();
    (is_name || error.is_instance_of::<PySyntaxError>(py)) && !is_meant
}

fn is_busy_itself(error: &Bound<'_, PyAny>) -> bool {
    let code = error.getattr("errno").ok().and_then(|code| code.extract::<i32>().ok()).map(Errno::from_raw);
    if code.is_some_and(|code| BUSY_CODES.contains(&code)) {
        return true;
    }
    let Ok(text) = error.str() else { return false };
    let text = text.to_string_lossy().to_lowercase();
    let holds_any = |texts: &[&str]| texts.iter().any(|part| text.contains(part));
    holds_any(&BUSY_TEXTS) || (code == Some(Errno::EACCES) && holds_any(&EXCLUSIVE_TEXTS))
}

fn has_threads(py: Python<'_>) -> bool {
    let count = py.import("_thread").and_then(|threads| threads.call_method0("_count")?.extract::<usize>());
    count.is_ok_and(|count| count > 0)
}

fn lock() -> MutexGuard<'static, Notes> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}
