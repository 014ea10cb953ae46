//! Python code that is part of the worker, as the interpreter takes it.

use std::ffi::CStr;

/// The code `text`, which ends with a NUL and holds no other one. For constants, so that code which
/// breaks this does not compile.
pub const fn embedded(text: &str) -> &CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(code) => code,
        Err(_) => panic!("the code holds a NUL"),
    }
}
