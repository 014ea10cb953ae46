//! `cleanup_handler()`: the one function that is called when the instance is stopped.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use std::sync::{Mutex, PoisonError};

/// The function, if there is one.
pub type Cleanup = Mutex<Option<Py<PyAny>>>;

/// Replaces the function and returns the previous one.
pub fn replace(cleanup: &Cleanup, callable: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
    if !callable.is_none() && !callable.is_callable() {
        return Err(PyTypeError::new_err("cleanup_handler() needs a callable or None"));
    }
    let next = (!callable.is_none()).then(|| callable.clone().unbind());
    Ok(std::mem::replace(&mut *cleanup.lock().unwrap_or_else(PoisonError::into_inner), next))
}

/// Takes it out, to be called.
pub fn take(cleanup: &Cleanup) -> Option<Py<PyAny>> {
    cleanup.lock().unwrap_or_else(PoisonError::into_inner).take()
}
