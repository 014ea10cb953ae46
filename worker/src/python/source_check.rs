//! Compiles source files without running them, so that a syntax error is found while the worker
//! that could go on still serves.

use super::modules::failure;
use mm_shared::control::Failure;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The first file that is there and does not compile.
pub fn first_mistake(py: Python<'_>, files: &[PathBuf]) -> Option<Failure> {
    let sources = files.iter().filter(|file| file.extension() == Some(OsStr::new("py")));
    sources.filter_map(|file| Some((file, fs::read(file).ok()?))).find_map(|(file, text)| {
        let error = compile(py, file, &text).err()?;
        Some(Failure { is_busy: false, ..failure(py, &file.to_string_lossy(), &error) })
    })
}

fn compile(py: Python<'_>, file: &Path, text: &[u8]) -> PyResult<()> {
    let compile = py.import("builtins")?.getattr("compile")?;
    compile.call1((PyBytes::new(py, text), file.as_os_str(), "exec", 0, true)).map(drop)
}
