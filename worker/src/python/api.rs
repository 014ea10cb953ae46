//! The module `midimonster` as scripts see it. It only reads arguments; the files beside it do the
//! work.

use pyo3::pymodule;

/// Channels, timers and sockets of this instance of the show.
#[pymodule]
pub mod midimonster {
    use crate::python::coroutines::check_registered;
    use crate::python::{activity, cleanup, fast_output, instance};
    use mm_shared::sys::clock::monotonic_ns;
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::types::{PyList, PyString};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        fast_output::install(module)
    }

    /// Sends a value, clamped to 0.0..1.0, as an event of the channel. Scripts call it through
    /// [`fast_output`].
    #[pyfunction]
    #[pyo3(signature = (name, value, /))]
    fn output(name: &Bound<'_, PyString>, value: f64) -> PyResult<()> {
        if value.is_nan() {
            return Err(PyValueError::new_err("NaN is not a channel value"));
        }
        let instance = instance()?;
        // Adding zero turns -0.0 into 0.0.
        instance.output.send(&instance.channels, name, value.clamp(0.0, 1.0) + 0.0)
    }

    /// Last input value of the channel: the one before, while its handler runs; None for an unknown
    /// name.
    #[pyfunction]
    #[pyo3(signature = (name, /))]
    fn inputvalue(name: &Bound<'_, PyString>) -> PyResult<Option<f64>> {
        let channels = &instance()?.channels;
        Ok(channels.find(name)?.map(|channel| channels.values().input(channel)))
    }

    /// Last value that was sent on the channel; None for an unknown name.
    #[pyfunction]
    #[pyo3(signature = (name, /))]
    fn outputvalue(name: &Bound<'_, PyString>) -> PyResult<Option<f64>> {
        let channels = &instance()?.channels;
        Ok(channels.find(name)?.map(|channel| channels.values().output(channel)))
    }

    /// Name of the channel whose handler runs, else None.
    #[pyfunction]
    fn current(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
        let channels = &instance()?.channels;
        Ok(activity::current().and_then(|channel| channels.name(py, channel)))
    }

    /// Milliseconds of the core's monotonic clock.
    #[pyfunction]
    fn timestamp() -> u64 {
        monotonic_ns() / 1_000_000
    }

    /// Calls the callable at this interval; 0 ends that.
    #[pyfunction]
    #[pyo3(signature = (callable, milliseconds, /))]
    fn interval(callable: &Bound<'_, PyAny>, milliseconds: &Bound<'_, PyAny>) -> PyResult<()> {
        let instance = instance()?;
        instance.timers.set(callable, milliseconds)?;
        check_registered(instance, "interval", callable);
        Ok(())
    }

    /// Calls `callable(socket)` whenever the socket is readable; None ends that.
    #[pyfunction]
    #[pyo3(signature = (callable, socket, /))]
    fn manage(callable: &Bound<'_, PyAny>, socket: &Bound<'_, PyAny>) -> PyResult<()> {
        let instance = instance()?;
        instance.sockets.manage(callable, socket)?;
        check_registered(instance, "manage", callable);
        Ok(())
    }

    /// Names of all channels of the instance.
    #[pyfunction]
    fn channels(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
        Ok(instance()?.channels.list(py))
    }

    /// Sets (or with None removes) the function that is called when the instance is stopped;
    /// returns the previous one.
    #[pyfunction]
    #[pyo3(signature = (callable, /))]
    fn cleanup_handler(callable: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let instance = instance()?;
        let previous = cleanup::replace(&instance.cleanup, callable)?;
        check_registered(instance, "cleanup_handler", callable);
        Ok(previous)
    }
}
