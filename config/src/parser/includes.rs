//! Opens the show file and its includes.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::Parser;
use crate::lexer::Piece;
use crate::read::{ReadError, decode, read};
use crate::source::Span;
use crate::suggest::did_you_mean;

/// The most levels of includes within includes.
const DEPTH_LIMIT: usize = 32;

/// The most files of a show: files that include others twice each multiply exponentially.
const FILE_LIMIT: usize = 4096;

/// The most bytes of all files of a show together.
const BYTE_LIMIT: usize = 64 << 20;

/// The files that are open, and the number of bytes read so far.
#[derive(Default)]
pub(super) struct Includes {
    /// From the show file to the one being read.
    chain: Vec<OpenFile>,
    bytes: usize,
}

struct OpenFile {
    /// As the user sees it.
    path: PathBuf,
    /// With links resolved, to recognise the file by another name.
    real: PathBuf,
}

impl Parser<'_> {
    /// Reads the file that `[include PATH]` in the file `from` names.
    pub(super) fn include(&mut self, from: &Path, written: Piece<'_>) {
        let directory = from.parent().unwrap_or(Path::new(""));
        let path = directory.join(written.text);
        // `./map/x.map` is shown as `map/x.map`.
        let plain: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        self.read(&plain, Some(written.span));
    }

    /// Reads the file at `path`, which the show names at `span`.
    pub(super) fn read(&mut self, path: &Path, span: Option<Span>) {
        let real = match self.copies {
            None => fs::canonicalize(path),
            // The links that lead to the files may be others by now.
            Some(_) => std::path::absolute(path),
        };
        let real = real.unwrap_or_else(|_| path.to_path_buf());
        if self.refused(path, &real, span) {
            return;
        }
        let text = match self.copies {
            None => read(path),
            Some(copies) => {
                let text = copies.text(path).ok_or(ReadError::Missing);
                text.and_then(|text| decode(text.as_bytes().to_vec()))
            }
        };
        match text {
            Ok(text) => {
                self.includes.bytes += text.text.len();
                self.includes.chain.push(OpenFile { path: path.to_path_buf(), real });
                self.file(path, text);
                self.includes.chain.pop();
            }
            Err(problem) => self.unreadable(path, span, &problem),
        }
    }

    /// Whether a limit or a circle forbids to read this file.
    fn refused(&mut self, path: &Path, real: &Path, span: Option<Span>) -> bool {
        if let Some(first) = self.includes.chain.iter().position(|open| open.real == real) {
            let chain = self.includes.chain[first..].iter().map(|open| open.path.as_path());
            let chain: Vec<_> = chain.chain([path]).map(|path| format!("`{}`", path.display())).collect();
            self.diagnostics
                .error(span, format!("`{}` includes itself", path.display()))
                .label("this include closes the circle")
                .hint(format!("the chain is {}", chain.join(" → ")));
            return true;
        }
        let limit = if self.includes.chain.len() >= DEPTH_LIMIT {
            format!("includes are nested deeper than {DEPTH_LIMIT}")
        } else if self.written.files.len() >= FILE_LIMIT {
            format!("the show has more than {FILE_LIMIT} files")
        } else if self.includes.bytes >= BYTE_LIMIT {
            format!("the files of the show are larger than {} MiB together", BYTE_LIMIT >> 20)
        } else {
            return false;
        };
        self.diagnostics.error(span, limit).label("this file is not read");
        true
    }

    pub(super) fn unreadable(&mut self, path: &Path, span: Option<Span>, problem: &ReadError) {
        let message = format!("cannot read `{}`: {problem}", path.display());
        let hint = match problem {
            ReadError::Missing => neighbour(path),
            ReadError::Utf16 => Some("save the file with the encoding UTF-8".into()),
            _ => None,
        };
        self.diagnostics.error(span, message).maybe_hint(hint);
    }
}

/// A hint for a missing file: a file of the same directory with a similar name.
fn neighbour(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    let entries = fs::read_dir(directory.unwrap_or(Path::new("."))).ok()?;
    let mut names: Vec<String> =
        entries.take(1000).flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    // The order of a directory is arbitrary.
    names.sort();
    did_you_mean(name, names.iter().map(String::as_str))
}
