//! Data that the interpreter lock guards, so that it needs no lock of its own.

use pyo3::Python;
use std::cell::RefCell;

#[cfg(Py_GIL_DISABLED)]
compile_error!("the worker relies on the interpreter lock, which this Python does not have");

/// A value that only the thread with the interpreter lock can access.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: the value, and the cell's own count, are touched in `with` only, whose caller holds the
// interpreter lock: one thread at a time, and what it did is seen by the next one to hold the lock.
// Giving the lock up inside of `with` would at most let another thread find the cell borrowed,
// which is a panic and not a race.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T> GilCell<T> {
    pub fn new(value: T) -> GilCell<T> {
        GilCell(RefCell::new(value))
    }

    /// Acts on the value. `act` must not call Python, release one of its objects, or release the
    /// lock.
    #[inline]
    pub fn with<R>(&self, _lock: Python<'_>, act: impl FnOnce(&mut T) -> R) -> R {
        act(&mut self.0.borrow_mut())
    }
}
