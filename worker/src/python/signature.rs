//! Whether a callable can be called with one argument, the value of an event. Nothing is called
//! for that.
//!
//! A function or a method shows it in its code object. Of other callables (classes, partial
//! functions, objects) Python's `inspect` knows the signature, of some built-in ones it does not;
//! these count as fit.

use super::coroutines::code;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// A bit of `co_flags`: `*args`.
const VARARGS: usize = 0x04;

/// Why a callable cannot handle an event, with a hint.
pub fn problem(callable: &Bound<'_, PyAny>) -> Option<String> {
    let name = callable.getattr("__name__").map_or_else(|_| "handler".into(), |name| name.to_string());
    let hint = format!("a handler gets one argument, as in `def {name}(value):`");
    let problem = match own_parameters(callable) {
        Some(parameters) => parameters.ok()?.problem()?,
        None => refusal(callable)?,
    };
    Some(format!("{problem}, but it is called with the value\nhint: {hint}"))
}

/// Whether a callable can be called with one argument, as far as that is known.
pub fn takes_one(callable: &Bound<'_, PyAny>) -> bool {
    problem(callable).is_none()
}

/// The parameters of a function, without the `self` of a method that is bound.
struct Parameters {
    positional: usize,
    required: usize,
    has_varargs: bool,
    /// Names of keyword-only parameters without a default.
    required_keywords: Vec<String>,
}

impl Parameters {
    fn problem(&self) -> Option<String> {
        if let Some(name) = self.required_keywords.first() {
            return Some(format!("needs the keyword argument `{name}`"));
        }
        match self.required {
            0 if self.positional == 0 && !self.has_varargs => Some("takes no argument".into()),
            0 | 1 => None,
            count => Some(format!("needs {count} arguments")),
        }
    }
}

/// The parameters of a plain function or a bound method; `None` for any other callable.
fn own_parameters(callable: &Bound<'_, PyAny>) -> Option<PyResult<Parameters>> {
    let function = callable.getattr("__func__");
    let is_bound = function.is_ok();
    let function = function.unwrap_or_else(|_| callable.clone());
    let kind = function.get_type().name().ok()?;
    (kind == "function").then(|| parameters(&function, is_bound))
}

fn parameters(function: &Bound<'_, PyAny>, is_bound: bool) -> PyResult<Parameters> {
    let code = function.getattr("__code__")?;
    let number = |name: &str| code.getattr(name)?.extract::<usize>();
    let count = number("co_argcount")?;
    let defaults = function.getattr("__defaults__")?;
    let defaults = if defaults.is_none() { 0 } else { defaults.len()? };
    let own = usize::from(is_bound);
    let names = code.getattr("co_varnames")?.cast_into::<PyTuple>()?;
    let with_default = function.getattr("__kwdefaults__")?.cast_into::<PyDict>().ok();
    let mut required_keywords = Vec::new();
    for name in names.iter().skip(count).take(number("co_kwonlyargcount")?) {
        let has_default = with_default.as_ref().is_some_and(|known| known.contains(&name).unwrap_or(true));
        if !has_default {
            required_keywords.push(name.extract()?);
        }
    }
    Ok(Parameters {
        positional: count.saturating_sub(own),
        required: count.saturating_sub(defaults).saturating_sub(own),
        has_varargs: number("co_flags")? & VARARGS != 0,
        required_keywords,
    })
}

/// What the signature of another callable says against one argument.
fn refusal(callable: &Bound<'_, PyAny>) -> Option<String> {
    let py = callable.py();
    let arguments = PyDict::new(py);
    arguments.set_item("follow_wrapped", false).ok()?;
    let inspect = py.import("inspect").ok()?;
    // An object without a known signature raises here.
    let signature = inspect.call_method("signature", (callable,), Some(&arguments)).ok()?;
    match signature.call_method1("bind", (0.0,)) {
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            Some(format!("cannot take one argument ({})", error.value(py)))
        }
        _ => None,
    }
}

/// File, line and name of the function that a callable leads to.
pub fn place(callable: &Bound<'_, PyAny>) -> Option<(String, u32, String)> {
    let code = code(callable)?;
    let text = |name: &str| code.getattr(name).ok()?.extract::<String>().ok();
    Some((text("co_filename")?, code.getattr("co_firstlineno").ok()?.extract().ok()?, text("co_name")?))
}
