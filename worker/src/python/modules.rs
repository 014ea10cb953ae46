//! Importing what the `module` options name.
//!
//! A name, a file name or a path: `my_handlers`, `package.module`, `my_handlers.py`,
//! `path/to/my_handlers.py`. Files are searched beside the file that has the option, then in the
//! show's directory; a name that is not found there may be an installed module. The import itself
//! is always Python's own, so that packages, siblings and tracebacks are as everywhere.

use super::{busy, import_hints, leave_if_forked, traceback};
use mm_shared::control::{Boot, Failure, FailureSubject, Module};
use pyo3::exceptions::PyModuleNotFoundError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Prepares `sys.path` and imports all modules, in order. The files of `kept` count as there.
pub fn import_all(py: Python<'_>, boot: &Boot, kept: &HashSet<PathBuf>) -> Result<(), Failure> {
    prepend(py, &boot.directory).map_err(|error| failure(py, "sys.path", &error))?;
    boot.modules.iter().try_for_each(|module| import(py, module, &boot.directory, kept))
}

/// The files that the `module` options name, as far as they are there.
pub fn files(boot: &Boot) -> Vec<PathBuf> {
    let request = |module: &Module| {
        let places = [module.directory.as_path(), boot.directory.as_path()];
        ModuleRequest::new(&module.text, places).file(&HashSet::new()).map(|(_, file)| file)
    };
    boot.modules.iter().filter_map(request).collect()
}

fn import(py: Python<'_>, module: &Module, show: &Path, kept: &HashSet<PathBuf>) -> Result<(), Failure> {
    let request = ModuleRequest::new(&module.text, [module.directory.as_path(), show]);
    let outcome = match request.file(kept) {
        Some((root, file)) => import_file(py, &request, root, &file, show),
        None if request.is_path => Err(ImportProblem::Missing),
        None => import_installed(py, &request, module, show),
    };
    outcome.map_err(|problem| match problem {
        ImportProblem::Raised(error) => {
            let hint = import_hints::of_exception(py, &error, &request.directories());
            Failure { hint, ..failure(py, &module.text, &error) }
        }
        ImportProblem::Missing => {
            let hint = import_hints::of_module(py, &module.text, &request.directories());
            let subject = FailureSubject::Module(module.text.clone());
            Failure { hint, ..Failure::of_text(subject, request.nowhere()) }
        }
        ImportProblem::Text(text, hint) => {
            let subject = FailureSubject::Module(module.text.clone());
            Failure { hint: hint.map(str::to_owned), ..Failure::of_text(subject, text) }
        }
    })
}

/// The name that the module of a `module` option gets.
pub fn name_of(text: &str) -> String {
    ModuleRequest::new(text, [Path::new(""), Path::new("")]).name
}

enum ImportProblem {
    Raised(PyErr),
    /// There is no such module.
    Missing,
    /// Anything else, and perhaps a hint.
    Text(String, Option<&'static str>),
}

impl From<PyErr> for ImportProblem {
    fn from(error: PyErr) -> ImportProblem {
        ImportProblem::Raised(error)
    }
}

/// A `module` option, taken apart.
struct ModuleRequest {
    /// The name that the module gets in `sys.modules`.
    name: String,
    /// Whether the option names a file, rather than a module that may be installed.
    is_path: bool,
    /// Where files may be: the directory to import from, and the file without its ending.
    places: Vec<(PathBuf, PathBuf)>,
}

impl ModuleRequest {
    fn new(text: &str, directories: [&Path; 2]) -> ModuleRequest {
        let stripped = text.strip_suffix(".py").unwrap_or(text);
        let is_path = text.contains('/') || stripped.len() < text.len();
        let path = if is_path { PathBuf::from(stripped) } else { text.split('.').collect() };
        let name = if is_path { file_name(&path) } else { text.to_owned() };
        let mut places = Vec::new();
        for directory in directories {
            let file = directory.join(&path);
            let root = if is_path { file.parent().unwrap_or(directory) } else { directory };
            let place = (root.to_owned(), file);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        ModuleRequest { name, is_path, places }
    }

    /// The first file that is there, with the directory to import it from.
    fn file(&self, kept: &HashSet<PathBuf>) -> Option<(&Path, PathBuf)> {
        self.places.iter().find_map(|(root, file)| {
            let candidates = [with_ending(file), file.join("__init__.py")];
            let found =
                candidates.into_iter().find(|candidate| kept.contains(candidate) || candidate.is_file())?;
            Some((root.as_path(), found))
        })
    }

    /// Where files may be that the user meant.
    fn directories(&self) -> Vec<PathBuf> {
        self.places.iter().filter_map(|(_, file)| file.parent().map(Path::to_owned)).collect()
    }

    fn nowhere(&self) -> String {
        let places: Vec<_> =
            self.places.iter().map(|(_, file)| format!("`{}`", with_ending(file).display())).collect();
        let installed =
            if self.is_path { String::new() } else { format!(", or installed as `{}`", self.name) };
        format!("there is no module `{}`: it is not at {}{installed}", self.name, places.join(", not at "))
    }
}

/// Imports a module from its file, which must become the module of that name.
fn import_file(
    py: Python<'_>,
    request: &ModuleRequest,
    root: &Path,
    file: &Path,
    show: &Path,
) -> Result<(), ImportProblem> {
    let name = request.name.as_str();
    if request.is_path && (name.is_empty() || name.contains('.')) {
        let text = format!("`{}` is not a file name for a module: it holds a dot", file.display());
        return Err(ImportProblem::Text(text, None));
    }
    let path = search_path(py)?;
    path.insert(0, root.as_os_str())?;
    let imported = py.import(name);
    // Its siblings stay importable, but the show's directory comes first again.
    path.del_item(0)?;
    add_behind(&path, root, show)?;
    check_origin(name, &imported?, file)
}

/// Checks that another module did not have the name already: one of the standard library or of
/// another directory.
fn check_origin(name: &str, module: &Bound<'_, PyModule>, file: &Path) -> Result<(), ImportProblem> {
    let origin = module.filename().map(|origin| PathBuf::from(origin.to_string())).ok();
    let same = |origin: &PathBuf| match (origin.canonicalize(), file.canonicalize()) {
        (Ok(origin), Ok(file)) => origin == file,
        _ => origin == file,
    };
    match origin {
        Some(origin) if same(&origin) => Ok(()),
        other => {
            let taken =
                other.map_or("the interpreter itself".into(), |origin| format!("`{}`", origin.display()));
            let text =
                format!("`{}` cannot be imported: the name `{name}` is taken by {taken}", file.display());
            Err(ImportProblem::Text(text, Some("give the file another name")))
        }
    }
}

fn import_installed(
    py: Python<'_>,
    request: &ModuleRequest,
    module: &Module,
    show: &Path,
) -> Result<(), ImportProblem> {
    add_behind(&search_path(py)?, &module.directory, show)?;
    match py.import(request.name.as_str()) {
        Ok(_) => Ok(()),
        Err(error) if is_missing(py, &error, &request.name) => Err(ImportProblem::Missing),
        Err(error) => Err(error.into()),
    }
}

/// Whether it is this module that is missing, and not one that it imports.
fn is_missing(py: Python<'_>, error: &PyErr, name: &str) -> bool {
    let missing = || error.value(py).getattr("name").ok()?.extract::<String>().ok();
    error.is_instance_of::<PyModuleNotFoundError>(py)
        && missing().is_some_and(|missing| name == missing || name.starts_with(&format!("{missing}.")))
}

fn search_path(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    Ok(py.import("sys")?.getattr("path")?.cast_into()?)
}

fn prepend(py: Python<'_>, directory: &Path) -> PyResult<()> {
    search_path(py)?.insert(0, directory.as_os_str())
}

/// Adds a directory to the search path, directly behind the show's.
fn add_behind(path: &Bound<'_, PyList>, directory: &Path, show: &Path) -> PyResult<()> {
    if directory == show || path.contains(directory.as_os_str())? {
        return Ok(());
    }
    path.insert(1, directory.as_os_str())
}

fn with_ending(file: &Path) -> PathBuf {
    let mut file = file.as_os_str().to_owned();
    file.push(".py");
    file.into()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What an exception at import means.
pub fn failure(py: Python<'_>, module: &str, error: &PyErr) -> Failure {
    leave_if_forked(py, Some(error));
    let (summary, traceback) = (traceback::summary(py, error), traceback::format(py, error));
    let subject = FailureSubject::Module(module.to_owned());
    Failure { subject, summary, traceback, hint: None, is_busy: busy::is_busy(py, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> (String, bool, Vec<String>) {
        let request = ModuleRequest::new(text, [Path::new("/inc"), Path::new("/show")]);
        let files =
            request.places.iter().map(|(root, file)| format!("{} {}", root.display(), file.display()));
        (request.name.clone(), request.is_path, files.collect())
    }

    #[test]
    fn all_spellings_of_a_module_lead_to_its_file() {
        let plain = vec!["/inc /inc/h".to_owned(), "/show /show/h".to_owned()];
        assert_eq!(places("h"), ("h".into(), false, plain.clone()));
        assert_eq!(places("h.py"), ("h".into(), true, plain));
        let deep = vec!["/inc/sub /inc/sub/h".to_owned(), "/show/sub /show/sub/h".to_owned()];
        assert_eq!(places("sub/h.py"), ("h".into(), true, deep.clone()));
        assert_eq!(places("sub/h"), ("h".into(), true, deep));
        let package = vec!["/inc /inc/pkg/mod".to_owned(), "/show /show/pkg/mod".to_owned()];
        assert_eq!(places("pkg.mod"), ("pkg.mod".into(), false, package));
        assert_eq!(places("/abs/h.py"), ("h".into(), true, vec!["/abs /abs/h".to_owned()]));
    }
}
