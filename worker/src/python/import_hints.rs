//! What a user may do about an import that failed: a name that is close to one that is there, or a
//! package that is not installed.

use super::handlers::suggest;
use pyo3::exceptions::PyModuleNotFoundError;
use pyo3::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// How many files of a directory are looked at.
const FILES_LIMIT: usize = 1000;

/// The hint for a `module` option that names nothing: a file beside the places that were looked at.
pub fn of_module(py: Python<'_>, text: &str, directories: &[PathBuf]) -> Option<String> {
    let stripped = text.strip_suffix(".py").unwrap_or(text);
    let start = stripped.rfind(['/', '.']).map_or(0, |at| at + 1);
    let (before, name) = stripped.split_at(start);
    let close = suggest(py, name, &modules_in(directories))?;
    let ending = &text[stripped.len()..];
    Some(format!("did you mean `{before}{close}{ending}`?"))
}

/// The hint for a module that the script imports and that is not there.
pub fn of_exception(py: Python<'_>, error: &PyErr, directories: &[PathBuf]) -> Option<String> {
    if !error.is_instance_of::<PyModuleNotFoundError>(py) {
        return None;
    }
    let name: String = error.value(py).getattr("name").ok()?.extract().ok()?;
    if name.contains('.') {
        return None;
    }
    if let Some(close) = suggest(py, &name, &modules_in(directories)) {
        return Some(format!("did you mean `{close}`?"));
    }
    let sys = py.import("sys").ok()?;
    let prefix = |name: &str| sys.getattr(name).ok()?.extract::<PathBuf>().ok();
    let (own, base) = (prefix("prefix")?, prefix("base_prefix")?);
    Some(if own == base {
        format!(
            "if `{name}` is installed in a virtual environment, name that with `venv = PATH`; \
             else install it for Python in `{}`",
            base.display()
        )
    } else {
        format!("install it with `{} -m pip install {name}`", own.join("bin/python").display())
    })
}

/// The modules and packages that are in these directories.
fn modules_in(directories: &[PathBuf]) -> Vec<String> {
    let entries = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    entries.take(FILES_LIMIT).filter_map(|entry| module(&entry.ok()?.path())).collect()
}

/// The name of the module that a path is.
fn module(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    match name.strip_suffix(".py") {
        Some(name) => Some(name.to_owned()),
        None if path.join("__init__.py").is_file() => Some(name.to_owned()),
        None => None,
    }
}
