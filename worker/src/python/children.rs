//! What the child processes of a script import as `midimonster`.
//!
//! The module is built into this process. A child that is a Python of its own (`multiprocessing`
//! with spawn or forkserver, `subprocess`) imports the script again, or code that imports
//! `midimonster`; it finds `worker/python/midimonster.py`. That lies in a directory of its own, so
//! that nothing else becomes importable with it: `python` beside this program, where `make install`
//! puts it. Where it is not there, it is written into the supervisor's private directory, which the
//! supervisor removes at its end.

use std::path::{Path, PathBuf};
use std::{fs, io};

const MODULE: &str = include_str!("../../python/midimonster.py");
const FILE: &str = "midimonster.py";
const DIRECTORY: &str = "python";

/// The directory with the module. `None`: there is no place for it, and the children of scripts
/// cannot import it.
pub fn module_directory(private: &Path) -> Option<PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program.and_then(|program| Some(program.parent()?.join(DIRECTORY)));
    let private = private.join(DIRECTORY);
    beside.filter(|beside| holds_module(beside)).or_else(|| {
        if !holds_module(&private) {
            write(&private).ok()?;
        }
        Some(private)
    })
}

fn holds_module(directory: &Path) -> bool {
    fs::read(directory.join(FILE)).is_ok_and(|text| text == MODULE.as_bytes())
}

/// Other workers may read it, or write it too, at the same time.
fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let draft = directory.join(format!("{FILE}.{}", std::process::id()));
    let outcome = fs::write(&draft, MODULE).and_then(|()| fs::rename(&draft, directory.join(FILE)));
    if outcome.is_err() {
        // Whatever is left of it goes with the directory.
        let _ = fs::remove_file(&draft);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_missing_or_of_another_version_is_written() {
        let private = tempfile::tempdir().expect("a directory");
        for _ in 0..2 {
            let directory = module_directory(private.path()).expect("there is room");
            assert_eq!(directory, private.path().join(DIRECTORY));
            let file = directory.join(FILE);
            assert_eq!(fs::read_to_string(&file).expect("it is there"), MODULE);
            fs::write(&file, "an older one").expect("it is ours");
        }
        assert_eq!(fs::read_dir(private.path().join(DIRECTORY)).expect("it is there").count(), 1);
    }

    #[test]
    fn without_a_place_there_is_none() {
        assert_eq!(module_directory(Path::new("/proc/none")), None);
    }
}
