//! Finds `mm-worker` and makes sure that it is the one that belongs to this supervisor.

use mm_shared::control::PROTOCOL;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where `make install` puts the worker, seen from the supervisor's folder.
const INSTALLED: &str = "../libexec/mm-supervisor/mm-worker";

/// Why no worker can be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerBinaryError {
    /// It is nowhere.
    #[error("`mm-worker` is missing: neither `{}` nor `{}` exists", beside.display(), installed.display())]
    Missing {
        /// Where it was looked for first.
        beside: PathBuf,
        /// Where it was looked for next.
        installed: PathBuf,
    },
    /// It does not run.
    #[error("`{}` does not run: {reason}", path.display())]
    DoesNotRun {
        /// The file.
        path: PathBuf,
        /// What the system or the program said.
        reason: String,
    },
    /// It is another version.
    #[error("`{}` is of another version: it says `{found}`, this is `mm-supervisor {}` with protocol {PROTOCOL}", path.display(), env!("CARGO_PKG_VERSION"))]
    OtherVersion {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        found: String,
    },
    /// This program does not know where it is itself.
    #[error("cannot find out where this program is: {0}")]
    Nowhere(#[from] io::Error),
}

impl WorkerBinaryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Nowhere(_) => "install `mm-worker` beside `mm-supervisor`",
            Self::DoesNotRun { .. } => "it may need the Python library that it was built with",
            Self::OtherVersion { .. } => "install both programs from the same build",
        }
    }
}

/// Finds the worker and asks it for its version.
///
/// # Errors
///
/// It is missing, does not run, or is of another version.
pub fn find() -> Result<PathBuf, WorkerBinaryError> {
    let path = locate()?;
    let found = ask_version(&path)?;
    let wanted = format!("mm-worker {} (protocol {PROTOCOL}", env!("CARGO_PKG_VERSION"));
    if !found.starts_with(&wanted) {
        return Err(WorkerBinaryError::OtherVersion { path, found });
    }
    tracing::debug!(event = "worker_binary_found", "using `{}`, {found}", path.display());
    Ok(path)
}

fn locate() -> Result<PathBuf, WorkerBinaryError> {
    let own = std::env::current_exe()?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let (beside, installed) = (folder.join("mm-worker"), folder.join(INSTALLED));
    if beside.is_file() {
        Ok(beside)
    } else if installed.is_file() {
        Ok(installed)
    } else {
        Err(WorkerBinaryError::Missing { beside, installed })
    }
}

/// The first line that `mm-worker --version` prints.
fn ask_version(path: &Path) -> Result<String, WorkerBinaryError> {
    let does_not_run = |reason: String| WorkerBinaryError::DoesNotRun { path: path.to_owned(), reason };
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| does_not_run(error.to_string()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(does_not_run(format!("{}, {}", output.status, text(&output.stderr))))
    }
}
