//! Where copies of a show file are: which directories, and under which name.

use mm_config::{Show, SupervisorOptions};
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The most characters of a show's name that the name of its copy begins with.
const NAME_LIMIT: usize = 60;

/// The directories in which a show is kept. All get the same copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    directories: Vec<PathBuf>,
    /// Looked into as well, but never written to.
    others: Vec<PathBuf>,
}

impl Places {
    /// The places for `show`, which may be one with errors. `--state-dir`, or else `state-dir` of
    /// the show file, or else the directory of its `state-file`; and the show's own directory in
    /// the one that the service manager has made, where a show file of 0 bytes finds it too.
    #[must_use]
    pub fn of(show: &Show, state_dir: Option<&Path>) -> Self {
        // The service manager may name several, the first is that of the unit itself.
        let service = env::var_os("STATE_DIRECTORY");
        let service = service.as_deref().and_then(|list| list.as_bytes().split(|byte| *byte == b':').next());
        Self::with_service(show, state_dir, service.map(OsStr::from_bytes).map(Path::new))
    }

    pub(super) fn with_service(show: &Show, state_dir: Option<&Path>, service: Option<&Path>) -> Self {
        if let Some(directory) = state_dir {
            let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
            return Self { directories: vec![directory], others: Vec::new() };
        }
        let options = SupervisorOptions::of(show);
        let beside = || Some(options.state_file.as_ref()?.parent()?.to_owned());
        let mut directories: Vec<PathBuf> = options.state_dir.clone().or_else(beside).into_iter().collect();
        let service = service.filter(|directory| directory.is_absolute());
        let service = service.map(|directory| directory.join(&show.name));
        directories.extend(service.filter(|directory| directories.first() != Some(directory)));
        Self { directories, others: vec![show.directory.clone()] }
    }

    /// Whether the show is kept nowhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
    }

    /// The files that are written, for the show file at `path`, an absolute path.
    pub(super) fn files(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        let name = file_name(path);
        self.directories.iter().map(move |directory| directory.join(&name))
    }

    /// The files that may hold a copy, the best first.
    pub(super) fn candidates(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        let name = file_name(path);
        self.directories.iter().chain(&self.others).map(move |directory| directory.join(&name))
    }
}

/// `NAME-HASH.last-good`: several shows may be kept in one directory.
fn file_name(path: &Path) -> String {
    let stem = path.file_stem().map(OsStr::to_string_lossy).unwrap_or_default();
    let stem: String = stem.chars().take(NAME_LIMIT).collect();
    format!("{stem}-{:08x}.last-good", crc32fast::hash(path.as_os_str().as_bytes()))
}
