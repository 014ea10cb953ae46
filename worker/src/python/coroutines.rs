//! Functions that do nothing when they are called: `async def` and generator functions return an
//! object whose body has not run, and nothing here runs it.
//!
//! They are recognised twice. Where a callable is registered, its code object shows it, which makes
//! a warning with a hint. Where its call returns such an object, that is an error of the script,
//! which also finds what is hidden in a decorator.

use super::Instance;
use mm_shared::LogThrottle;
use mm_shared::control::FromWorker;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bits of `co_flags`, as the module `inspect` documents them.
const GENERATOR: c_int = 0x20;
const COROUTINE: c_int = 0x80;
const ASYNC_GENERATOR: c_int = 0x200;

/// How many wrappers (bound methods, partial functions, callable objects) are looked through.
const WRAPPERS_LIMIT: usize = 8;

const HINT: &str = "run it with `asyncio.run_coroutine_threadsafe(function(...), loop)` on an event loop in a \
                    thread, called from a plain `def`";

/// Warnings about callables that are registered while the script runs: so many in an interval.
const WARNINGS_LIMIT: u32 = 4;
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

static WARNINGS: Mutex<LogThrottle> = Mutex::new(LogThrottle::new(WARNINGS_LIMIT, WARNING_INTERVAL));

/// Sends a warning if the function that a script registers with a `call` of this module does
/// nothing when it is called.
pub fn check_registered(instance: &Instance, call: &str, callable: &Bound<'_, PyAny>) {
    let Some(problem) = problem(callable) else { return };
    if WARNINGS.lock().unwrap_or_else(PoisonError::into_inner).hit(Instant::now()).is_none() {
        return;
    }
    let name = callable.getattr("__qualname__").map_or_else(|_| "?".into(), |name| name.to_string());
    instance.outgoing.offer(FromWorker::Warning(format!("`{name}`, given to `{call}`, {problem}")));
}

/// What kind of function this is, if a call of it only returns an object, with a hint.
pub fn problem(callable: &Bound<'_, PyAny>) -> Option<String> {
    let flags = flags(callable)?;
    if flags & (COROUTINE | ASYNC_GENERATOR) != 0 {
        return Some(format!("is `async def`: a call does not run its body\nhint: {HINT}"));
    }
    let hint = "leave out `yield`, or take the values in a plain `def`";
    (flags & GENERATOR != 0)
        .then(|| format!("is a generator function: a call does not run its body\nhint: {hint}"))
}

/// Fails if a callable has returned a coroutine or a generator that nothing else holds, so that its
/// body never runs.
#[inline]
pub fn never_runs(returned: &Bound<'_, PyAny>) -> PyResult<()> {
    if returned.is_none() { Ok(()) } else { check(returned) }
}

#[cold]
fn check(returned: &Bound<'_, PyAny>) -> PyResult<()> {
    let object = returned.as_ptr();
    // SAFETY: looks at the type of a live object
    let is_coroutine = unsafe { ffi::PyCoro_CheckExact(object) } != 0;
    // SAFETY: the same
    let is_generator = unsafe { ffi::PyGen_CheckExact(object) } != 0;
    // SAFETY: the same
    let is_async_generator = unsafe { ffi::PyAsyncGen_CheckExact(object) } != 0;
    // SAFETY: the same; the only reference is that of the caller
    let is_held = unsafe { ffi::Py_REFCNT(object) } > 1;
    if !(is_coroutine || is_generator || is_async_generator) || is_held {
        return Ok(());
    }
    let name = returned.getattr("__qualname__").map_or_else(|_| "?".into(), |name| name.to_string());
    // Otherwise Python also reports that it was never awaited. A generator that was not begun has
    // nothing to clean up, so this does not fail.
    let _ = returned.call_method0("close");
    Err(PyTypeError::new_err(if is_generator {
        format!("`{name}` returned a generator that nothing iterates: its body was not run")
    } else {
        format!("`{name}` returned a coroutine that was never awaited: its body was not run\nhint: {HINT}")
    }))
}

fn flags(callable: &Bound<'_, PyAny>) -> Option<c_int> {
    code(callable)?.getattr("co_flags").ok()?.extract().ok()
}

/// The code object that a callable leads to.
pub fn code<'py>(callable: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let mut callable = callable.clone();
    for _ in 0..WRAPPERS_LIMIT {
        if let Ok(code) = callable.getattr("__code__") {
            return Some(code);
        }
        // Only a partial function: another object may have a `func` that it calls in its own way.
        let is_partial = callable.get_type().name().is_ok_and(|name| name == "partial");
        let inner = callable.getattr(if is_partial { "func" } else { "__func__" });
        callable = match inner {
            Ok(inner) => inner,
            // A class returns an instance of it.
            Err(_) if callable.is_instance_of::<pyo3::types::PyType>() => return None,
            Err(_) => callable.get_type().getattr("__call__").ok()?,
        };
    }
    None
}
