//! Everything about Python: the interpreter, the user's modules, and the module `midimonster` with
//! its implementation.
//!
//! The interpreter lock and the locks of this program never wait for each other: while one of the
//! latter is held, no Python code runs and no reference is released, since either could call back
//! into this program.

pub mod children;
mod embedded;
pub mod interpreter;

mod import_hints;
pub mod modules;
pub mod recorder;
pub mod source_check;
pub mod sources;

pub mod coroutines;
pub mod handlers;
pub mod signature;

pub mod api;

pub mod channels;
pub mod values;

pub mod fast_output;
pub mod output;
pub mod space;

mod gil_cell;

pub mod timers;

pub mod sockets;

pub mod cleanup;

pub mod activity;

pub mod busy;
pub mod errors;
pub mod traceback;

use crate::link::Outgoing;
use channels::Channels;
use cleanup::Cleanup;
use errors::ErrorReporter;
use output::Output;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use signal_hook::consts::SIGINT;
use sockets::Sockets;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use timers::Timers;

/// What the functions of `midimonster` act on.
pub struct Instance {
    pub channels: Channels,
    pub output: Output,
    pub timers: Timers,
    pub sockets: Sockets,
    pub cleanup: Cleanup,
    pub errors: ErrorReporter,
    pub outgoing: Outgoing,
}

/// A process is one instance.
static INSTANCE: OnceLock<Instance> = OnceLock::new();

/// Exit status of a Python program that ends by an exception.
const RAISED_STATUS: i32 = 1;

/// This process was forked off the instance's by the script.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Makes this process the instance, which it becomes once.
pub fn become_instance(instance: Instance) -> &'static Instance {
    INSTANCE.get_or_init(|| instance)
}

/// The instance, for a function that a script called.
#[inline]
pub fn instance() -> PyResult<&'static Instance> {
    match INSTANCE.get() {
        Some(instance) if !FORKED.load(Ordering::Relaxed) => Ok(instance),
        Some(_) => {
            Err(PyRuntimeError::new_err("this process was forked off an instance, it is not the instance"))
        }
        None => Err(PyRuntimeError::new_err("the instance has not been set up yet")),
    }
}

/// Called in a child that the script forked: it must not write into the rings of its parent.
#[pyfunction]
fn forked() {
    FORKED.store(true, Ordering::Relaxed);
    // A forked child has no loop that could take SIGTERM as a request.
    crate::term::let_term_kill_child();
}

/// Whether this process was forked off the instance's by the script.
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Ends a forked child whose script code has returned or raised: a second worker must not run on
/// the same rings. It ends as a Python program of its own would that ends in this way.
#[inline]
pub fn leave_if_forked(py: Python<'_>, error: Option<&PyErr>) {
    if is_forked() {
        leave(py, error);
    }
}

#[cold]
fn leave(py: Python<'_>, error: Option<&PyErr>) -> ! {
    let Some(error) = error else {
        interpreter::flush(py);
        signal_hook::low_level::exit(0)
    };
    // Does not return from `SystemExit`: ends the interpreter, and the process with its status.
    error.print(py);
    let is_interrupt = error.is_instance_of::<PyKeyboardInterrupt>(py);
    interpreter::finish();
    if is_interrupt {
        // It ends the process, or the status below has to do.
        let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
    }
    signal_hook::low_level::exit(RAISED_STATUS)
}
