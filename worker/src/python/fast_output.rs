//! `output()` the way that scripts nearly always call it: two positional arguments, an exact string
//! that is the name of a channel, and an exact float.
//!
//! Checking for that case avoids the general reading of arguments, which costs more than everything
//! else. Every other call goes to the general function, which also raises the exceptions.

use super::instance;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::ffi::CStr;
use std::sync::OnceLock;

const NAME: &CStr = c"output";
const DOC: &CStr =
    c"output(name, value, /)\n--\n\nSends a value, clamped to 0.0..1.0, as an event of the channel.";

/// The function that takes any arguments.
static GENERAL: OnceLock<Py<PyAny>> = OnceLock::new();

/// Replaces the module's `output` by the fast function, which keeps the general one as its
/// fallback.
pub fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let general = module.getattr("output")?.unbind();
    GENERAL.get_or_init(|| general);
    // The interpreter keeps a pointer to it.
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: output },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: DOC.as_ptr(),
    }));
    let name = module.name()?;
    // SAFETY: the definition is complete and stays, the name is a string; there is no `self`
    let function = unsafe { ffi::PyCFunction_NewEx(definition, std::ptr::null_mut(), name.as_ptr()) };
    // SAFETY: a new reference, or null with an exception
    let function = unsafe { Bound::from_owned_ptr_or_err(py, function) }?;
    module.setattr("output", function)
}

unsafe extern "C" fn output(
    _module: *mut PyObject,
    arguments: *mut *mut PyObject,
    count: Py_ssize_t,
) -> *mut PyObject {
    // SAFETY: Python calls this with the interpreter lock held
    let py = unsafe { Python::assume_attached() };
    if count == 2 {
        // SAFETY: Python passes as many as it says
        let arguments = unsafe { &*arguments.cast::<[*mut PyObject; 2]>() };
        // SAFETY: Python holds a reference to each argument until this returns
        let name = unsafe { Borrowed::from_ptr(py, arguments[0]) };
        // SAFETY: the same
        let value = unsafe { Borrowed::from_ptr(py, arguments[1]) };
        if send(&name, &value).is_some() {
            return py.None().into_ptr();
        }
    }
    let Some(general) = GENERAL.get() else { return std::ptr::null_mut() };
    // SAFETY: the arguments are as Python passed them; the result is passed on as it is, exceptions
    // included
    unsafe { ffi::PyObject_Vectorcall(general.as_ptr(), arguments, count as usize, std::ptr::null_mut()) }
}

/// `None`: this is not the usual case, and nothing was sent.
#[inline]
fn send(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> Option<()> {
    // SAFETY: looks at the type of a live object
    if unsafe { ffi::PyFloat_CheckExact(value.as_ptr()) } == 0 {
        return None;
    }
    // SAFETY: it is a float
    let value = unsafe { ffi::PyFloat_AS_DOUBLE(value.as_ptr()) };
    let name = name.cast_exact::<PyString>().ok()?;
    let instance = instance().ok()?;
    if value.is_nan() {
        return None;
    }
    let channel = instance.channels.find_fast(name)?;
    // Adding zero turns -0.0 into 0.0.
    instance.output.send_on(name.py(), &instance.channels, channel, value.clamp(0.0, 1.0) + 0.0);
    Some(())
}
