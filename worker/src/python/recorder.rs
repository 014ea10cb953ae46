//! Records the source files that the script is loaded from, with their texts: so that a change of
//! any of them can be noticed, and so that the supervisor can start a later worker with what
//! worked.
//!
//! What is recorded during the import is sent with its outcome. A module that is imported later, in
//! a handler, is sent after [`GATHER_TIME`] together with others; nothing looks for such modules
//! while none is imported.

use super::embedded::embedded;
use super::is_forked;
use super::sources;
use crate::link::Outgoing;
use mm_shared::control::{Boot, FromWorker, ImportMode};
use mm_shared::source_files::{self, BYTES_LIMIT, FILES_LIMIT, SourceFile};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::collections::HashSet;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

/// How long modules that are imported after the start are gathered before they are sent.
const GATHER_TIME: Duration = Duration::from_millis(250);

const CODE: &CStr = embedded(concat!(include_str!("recorder.py"), "\0"));

/// A process is one instance.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

struct Recorder {
    /// Directories whose modules are the script's own.
    roots: Vec<PathBuf>,
    outgoing: Outgoing,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    seen: HashSet<PathBuf>,
    /// What was not sent yet.
    list: Vec<u8>,
    /// Bytes of all lists.
    bytes: usize,
    /// The outcome of the import was sent; what comes now is sent by itself.
    is_imported: bool,
    /// A thread is about to send.
    is_gathering: bool,
}

/// Begins to record, and puts the texts of [`ImportMode::LastGood`] in place of files. Returns the
/// paths of these.
pub fn start(py: Python<'_>, boot: &Boot, outgoing: &Outgoing) -> PyResult<HashSet<PathBuf>> {
    let (roots, outgoing) = (sources::roots(boot), outgoing.clone());
    let _ = RECORDER.set(Recorder { roots, outgoing, records: Mutex::default() });
    let (kept, mut paths) = (PyDict::new(py), HashSet::new());
    if let ImportMode::LastGood(list) = &boot.import {
        for SourceFile { path, text } in source_files::files(list).flatten() {
            let Some(text) = text else { continue };
            kept.set_item(path.as_os_str(), PyBytes::new(py, text))?;
            paths.insert(path.to_owned());
        }
    }
    let globals = PyDict::new(py);
    globals.set_item("__builtins__", py.import("builtins")?)?;
    globals.set_item("wants", wrap_pyfunction!(wants, py)?)?;
    globals.set_item("loaded", wrap_pyfunction!(loaded, py)?)?;
    globals.set_item("kept", kept)?;
    py.run(CODE, Some(&globals), None)?;
    Ok(paths)
}

/// The import has come to its end: sends what it has loaded.
pub fn finish_import(py: Python<'_>) {
    let Some(recorder) = RECORDER.get() else { return };
    // Modules that are not made of source text, such as compiled ones, are known by their path.
    let files = sources::of_script(py, &recorder.roots);
    let list = {
        let mut records = recorder.lock();
        files.iter().for_each(|path| records.add(path, None));
        records.is_imported = true;
        std::mem::take(&mut records.list)
    };
    recorder.outgoing.send(FromWorker::Sources(list));
}

/// Whether the text of this file is to be recorded.
#[pyfunction]
fn wants(path: PathBuf) -> bool {
    // In a forked child the lock may be held by a thread that is not there any more.
    !is_forked()
        && RECORDER.get().is_some_and(|recorder| {
            sources::is_own(&path, &recorder.roots) && !recorder.lock().seen.contains(&path)
        })
}

/// A module was loaded from this text.
#[pyfunction]
fn loaded(path: PathBuf, text: &[u8]) {
    if is_forked() {
        return;
    }
    let Some(recorder) = RECORDER.get() else { return };
    let mut records = recorder.lock();
    records.add(&path, Some(text));
    if records.is_imported && !records.is_gathering && !records.list.is_empty() {
        let thread = thread::Builder::new().name("mm-sources".into());
        records.is_gathering = thread.spawn(|| recorder.send_gathered()).is_ok();
    }
}

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_gathered(&self) {
        thread::sleep(GATHER_TIME);
        let list = {
            let mut records = self.lock();
            records.is_gathering = false;
            std::mem::take(&mut records.list)
        };
        self.outgoing.send(FromWorker::Sources(list));
    }
}

impl Records {
    /// Adds a file that is not known yet. Where there is no room for its text, its path is still
    /// sent, so that it is watched.
    fn add(&mut self, path: &Path, text: Option<&[u8]>) {
        if self.seen.len() >= FILES_LIMIT || !self.seen.insert(path.to_owned()) {
            return;
        }
        let mut file = SourceFile { path, text };
        if self.bytes + file.size() > BYTES_LIMIT {
            file.text = None;
        }
        if self.bytes + file.size() <= BYTES_LIMIT {
            self.bytes += file.size();
            file.append_to(&mut self.list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recorded_once_and_without_text_where_there_is_no_room() {
        let mut records = Records::default();
        let long = vec![b' '; BYTES_LIMIT - 1000];
        records.add(Path::new("/s/a.py"), Some(&long));
        records.add(Path::new("/s/a.py"), Some(b"other"));
        records.add(Path::new("/s/b.py"), Some(&long));
        let files: Vec<_> = source_files::files(&records.list).flatten().collect();
        assert_eq!(
            files,
            [
                SourceFile { path: Path::new("/s/a.py"), text: Some(&long) },
                SourceFile { path: Path::new("/s/b.py"), text: None },
            ]
        );
    }
}
