//! The source files that a worker has reported, kept as bytes: nothing here looks at more than
//! their paths, and compares texts.

use mm_shared::control::BitSet;
use mm_shared::source_files::{self, BYTES_LIMIT, FILES_LIMIT, SourceFile};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The source files of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptSources {
    list: Vec<u8>,
    files: Vec<PathBuf>,
    /// Whether the text of a source file is missing.
    lacks_text: bool,
}

impl ScriptSources {
    /// Adds what a worker has reported.
    ///
    /// # Errors
    ///
    /// The worker has sent what is not a list, or more than it may.
    pub fn add(&mut self, list: &[u8]) -> Result<(), String> {
        if self.list.len() + list.len() > BYTES_LIMIT {
            return Err("its source files are longer than it may send".to_owned());
        }
        for file in source_files::files(list) {
            let SourceFile { path, text } = file.map_err(|error| error.to_string())?;
            if self.files.len() >= FILES_LIMIT {
                return Err("it reports too many source files".to_owned());
            }
            self.lacks_text |= text.is_none() && is_source(path);
            self.files.push(path.to_owned());
        }
        self.list.extend_from_slice(list);
        Ok(())
    }

    /// The files, in the order in which they were loaded.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The files with their texts, as they were reported.
    #[must_use]
    pub fn list(&self) -> &[u8] {
        &self.list
    }

    /// Whether these are other files than those of `other`, or have other texts. An import that
    /// failed has not loaded all of them, so it may have failed for another reason.
    #[must_use]
    pub fn differ_from(&self, other: &Self) -> bool {
        if self.files.len() != other.files.len() {
            return true;
        }
        let texts: HashMap<&Path, Option<&[u8]>> =
            source_files::files(&other.list).flatten().map(|file| (file.path, file.text)).collect();
        source_files::files(&self.list).flatten().any(|file| texts.get(file.path) != Some(&file.text))
    }

    /// The whole list, for a worker that imports these texts; `None` if one is missing.
    #[must_use]
    pub fn complete_list(&self) -> Option<&[u8]> {
        (!self.lacks_text && !self.files.is_empty()).then_some(&self.list)
    }
}

/// The script of a worker that has served.
#[derive(Debug, Clone)]
pub struct GoodScript {
    /// What it was loaded from.
    pub sources: ScriptSources,
    /// The mapped channels that it handled.
    pub handled: BitSet,
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "py")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(files: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut list = Vec::new();
        for (path, text) in files {
            SourceFile { path: Path::new(path), text: text.map(str::as_bytes) }.append_to(&mut list);
        }
        list
    }

    fn sources(files: &[(&str, Option<&str>)]) -> ScriptSources {
        let mut sources = ScriptSources::default();
        sources.add(&list(files)).expect("a list");
        sources
    }

    #[test]
    fn sources_differ_in_a_text_or_in_a_file() {
        let good = sources(&[("/s/a.py", Some("import b")), ("/s/b.py", Some("x = 1"))]);
        assert!(!sources(&[("/s/b.py", Some("x = 1")), ("/s/a.py", Some("import b"))]).differ_from(&good));
        assert!(sources(&[("/s/a.py", Some("import b"))]).differ_from(&good));
        assert!(sources(&[("/s/a.py", Some("import b")), ("/s/b.py", Some("x = 2"))]).differ_from(&good));
        assert!(sources(&[("/s/a.py", Some("import b")), ("/s/c.py", Some("x = 1"))]).differ_from(&good));
    }

    #[test]
    fn a_list_without_the_text_of_a_source_file_cannot_be_imported() {
        assert_eq!(sources(&[("/s/a.py", Some("")), ("/s/b.py", None)]).complete_list(), None);
        assert!(sources(&[("/s/a.py", Some("")), ("/s/b.so", None)]).complete_list().is_some());
        assert_eq!(ScriptSources::default().complete_list(), None);
    }

    #[test]
    fn what_a_worker_may_not_send_is_refused() {
        let mut sources = ScriptSources::default();
        assert!(sources.add(&[1, 2, 3]).is_err());
        let files: Vec<String> = (0..=FILES_LIMIT).map(|number| format!("/s/{number}.py")).collect();
        let many: Vec<_> = files.iter().map(|file| (file.as_str(), None)).collect();
        assert!(ScriptSources::default().add(&list(&many)).is_err());
        assert!(ScriptSources::default().add(&vec![0; BYTES_LIMIT + 1]).is_err());
    }
}
