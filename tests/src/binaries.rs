//! Where the programs under test are: beside the tests, in the same target directory, built with
//! the same profile.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The program under test.
#[must_use]
pub fn supervisor() -> PathBuf {
    built().join("mm-supervisor")
}

/// What it starts for each Python instance.
#[must_use]
pub fn worker() -> PathBuf {
    built().join("mm-worker")
}

/// A program that tests use as a peer, if it is there: on the `PATH`, or where `.ci/prepare` has
/// unpacked it.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let unpacked = profile_directory().parent()?.join("ola/usr/bin");
    let path = env::var_os("PATH")?;
    let folders = [unpacked].into_iter().chain(env::split_paths(&path));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The top of the source tree.
///
/// # Panics
///
/// When the tests are not where they belong.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a folder of the workspace")
}

/// All files below `directory` whose names end in `suffix`, except those of build and version
/// control.
#[must_use]
pub fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, suffix));
            }
        } else if name.ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The directory of the programs. Builds them if necessary: `cargo test` does not build programs of
/// other packages.
fn built() -> &'static Path {
    static DIRECTORY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = profile_directory();
        (!is_stale(&directory) || build(&directory)).then_some(directory)
    });
    directory.as_deref().expect("the programs under test could not be built")
}

/// `target/debug` for a test in `target/debug/deps`.
fn profile_directory() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own program");
    let above = test.ancestors().skip(1).find(|path| !path.ends_with("deps"));
    above.expect("a test is in a target directory").to_owned()
}

/// Whether a program is missing or older than any source. Cargo decides what there is to do then.
fn is_stale(directory: &Path) -> bool {
    let built = ["mm-supervisor", "mm-worker"].map(|name| modified(&directory.join(name)));
    let Some(built) = built.into_iter().min().flatten() else { return true };
    let sources = ["config", "shared", "worker", "supervisor"].map(|name| workspace().join(name));
    let sources = sources.iter().flat_map(|folder| [files(folder, ".rs"), files(folder, ".toml")]).flatten();
    let newest = sources.chain([workspace().join("Cargo.toml")]).filter_map(|path| modified(&path)).max();
    newest.is_none_or(|newest| newest > built)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn build(directory: &Path) -> bool {
    let profile = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let profile = if profile == "debug" { "dev".to_owned() } else { profile };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Command::new(cargo)
        .args(["build", "-p", "mm-supervisor", "-p", "mm-worker", "--profile", &profile])
        .env("CARGO_TARGET_DIR", directory.parent().unwrap_or(directory))
        .current_dir(workspace())
        .status()
        .is_ok_and(|status| status.success())
}
