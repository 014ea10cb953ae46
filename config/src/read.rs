//! Files into text, with bounds on everything: whatever a path leads to, this
//! ends soon, holds little memory, and says what is wrong.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

/// The most bytes of one file.
pub(crate) const LARGEST_FILE: u64 = 16 << 20;

/// The most bytes of one line.
pub(crate) const LONGEST_LINE: usize = 64 << 10;

/// This much of an overlong line is kept, to show which one is meant.
const EXCERPT: usize = 60;

/// Why a file is not text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it does not exist")]
    Missing,
    #[error("it is a directory")]
    Directory,
    #[error("it is not a regular file")]
    Special,
    #[error("it is larger than {} MiB", LARGEST_FILE >> 20)]
    TooLarge,
    #[error("it is a binary file: byte {0} is zero")]
    Binary(usize),
    #[error("it is UTF-16 text")]
    Utf16,
    #[error("{0}")]
    Io(io::Error),
}

/// What is wrong with a single line.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Cut to its beginning; it had this many bytes.
    Overlong(usize),
    NotUtf8,
}

/// The text of a file, and its lines that are not to be read any further.
#[derive(Debug, Default)]
pub(crate) struct Text {
    pub text: String,
    /// In the order of their places.
    pub flaws: Vec<(Range<usize>, Flaw)>,
}

/// Reads a file as text. What stands in `path` must be a regular file: a pipe would block.
pub(crate) fn read(path: &Path) -> Result<Text, Unreadable> {
    let kind = fs::metadata(path).map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Unreadable::Directory);
    }
    if !kind.is_file() {
        return Err(Unreadable::Special);
    }
    let mut bytes = Vec::new();
    // A file can grow while it is read: the limit is on what is read.
    let limited = File::open(path).map(|file| file.take(LARGEST_FILE + 1));
    limited.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Unreadable::TooLarge);
    }
    decode(bytes)
}

fn unreadable(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::NotFound => Unreadable::Missing,
        _ => Unreadable::Io(error),
    }
}

/// Bytes into text. A line that is not UTF-8 is a flaw, unless it is a comment: an old one in
/// Latin-1 does no harm.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Text, Unreadable> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Unreadable::Utf16);
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return Err(Unreadable::Binary(offset));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut text = Text::default();
    text.text.reserve(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        text.push(line);
    }
    Ok(text)
}

impl Text {
    fn push(&mut self, line: &[u8]) {
        let start = self.text.len();
        if line.len() > LONGEST_LINE {
            self.text.push_str(&String::from_utf8_lossy(&line[..EXCERPT]));
            self.flaws.push((start..self.text.len(), Flaw::Overlong(line.len())));
            self.text.push_str(" …\n");
            return;
        }
        let Err(error) = std::str::from_utf8(line).map(|line| self.text.push_str(line)) else { return };
        self.text.push_str(&String::from_utf8_lossy(line));
        if !line.trim_ascii_start().starts_with(b";") {
            let at = start + error.valid_up_to();
            self.flaws.push((at..at + char::REPLACEMENT_CHARACTER.len_utf8(), Flaw::NotUtf8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaws(bytes: &[u8]) -> Vec<(Range<usize>, Flaw)> {
        decode(bytes.to_vec()).unwrap().flaws
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(decode(b"\xef\xbb\xbf[map]\n".to_vec()).unwrap().text, "[map]\n");
    }

    #[test]
    fn a_zero_byte_makes_a_file_binary() {
        assert!(matches!(decode(b"ab\0c".to_vec()), Err(Unreadable::Binary(2))));
        assert!(matches!(decode(b"\xff\xfe[\0".to_vec()), Err(Unreadable::Utf16)));
    }

    #[test]
    fn only_a_line_that_is_no_comment_must_be_utf8() {
        assert_eq!(flaws(b"a\n ; f\xfcr\nb\n"), []);
        assert_eq!(flaws(b"a\nf\xfcr\n"), [(3..6, Flaw::NotUtf8)]);
    }

    #[test]
    fn of_an_overlong_line_only_the_beginning_is_kept() {
        let mut bytes = vec![b'x'; LONGEST_LINE + 1];
        bytes.extend_from_slice(b"\n[map]\n");
        let text = decode(bytes).unwrap();
        assert_eq!(text.text.lines().count(), 2);
        assert!(text.text.len() < 100);
        assert_eq!(text.flaws, [(0..EXCERPT, Flaw::Overlong(LONGEST_LINE + 2))]);
    }
}
