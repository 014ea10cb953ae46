//! Which files a script was loaded from, so that a change of any of them can be noticed.
//!
//! Those are the files of all loaded modules below the show's directory, or below a directory that
//! a module was searched in, except packages that are installed there (a virtual environment beside
//! the show).

use mm_shared::control::Boot;
use mm_shared::source_files::FILES_LIMIT;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::{Path, PathBuf};

/// The folders that installed packages are in.
const INSTALLED_FOLDERS: [&str; 2] = ["site-packages", "dist-packages"];

/// The directories below which modules are the script's own.
pub fn roots(boot: &Boot) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = boot.modules.iter().map(|module| module.directory.clone()).collect();
    roots.push(boot.directory.clone());
    roots.sort();
    roots.dedup();
    roots
}

/// The files of the script's own modules, as far as they are known; an import that failed has
/// loaded some of them.
pub fn of_script(py: Python<'_>, roots: &[PathBuf]) -> Vec<PathBuf> {
    let Ok(modules) = loaded(py) else { return Vec::new() };
    // Other threads may still be importing; a module that cannot be read yet is left out.
    let file = |module: Bound<'_, PyAny>| module.getattr("__file__").ok()?.extract::<PathBuf>().ok();
    let files = modules.values().into_iter().filter_map(file);
    files.filter(|file| is_own(file, roots)).take(FILES_LIMIT).collect()
}

fn loaded(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    modules.copy()
}

/// Whether a file is the script's own.
pub fn is_own(file: &Path, roots: &[PathBuf]) -> bool {
    let installed =
        |part: std::path::Component<'_>| INSTALLED_FOLDERS.iter().any(|name| part.as_os_str() == *name);
    roots.iter().any(|root| file.starts_with(root)) && !file.components().any(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_the_show_are_its_own_unless_they_are_installed_packages() {
        let roots = [PathBuf::from("/show"), PathBuf::from("/more")];
        for (file, own) in [
            ("/show/a.py", true),
            ("/more/deep/b.py", true),
            ("/usr/lib/python3.11/os.py", false),
            ("/showcase/a.py", false),
            ("/show/venv/lib/python3.11/site-packages/numpy/__init__.py", false),
        ] {
            assert_eq!(is_own(Path::new(file), &roots), own, "{file}");
        }
    }
}
