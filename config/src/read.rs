//! Reads files as text, with a limit on everything: for every path, reading ends soon, takes little
//! memory, and reports what is wrong.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The most bytes of one file.
const FILE_LIMIT: u64 = 16 << 20;

/// Where the kernel has files of its own, which may never end.
const KERNEL_DIRECTORIES: [&str; 2] = ["/proc", "/sys"];

/// `O_NONBLOCK` of Linux, which a regular file ignores.
const NONBLOCK: i32 = 0o4000;

/// The most bytes of one line.
pub(crate) const LINE_LIMIT: usize = 64 << 10;

/// The bytes of an overlong line that are kept, to show which line is meant.
const EXCERPT_LENGTH: usize = 60;

/// Why a file cannot be read as text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("it does not exist")]
    Missing,
    #[error("it is a directory")]
    Directory,
    #[error("it is not a regular file")]
    Special,
    #[error("it is larger than {} MiB", FILE_LIMIT >> 20)]
    TooLarge,
    #[error("it is a binary file: byte {0} is zero")]
    Binary(usize),
    #[error("it is UTF-16 text")]
    Utf16,
    #[error("{0}")]
    Io(io::Error),
}

/// Why a single line is not parsed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// The line had this many bytes; only its beginning is kept.
    Overlong(usize),
    NotUtf8,
}

/// The text of a file, and the lines of it that are not parsed.
#[derive(Debug, Default)]
pub(crate) struct SourceText {
    pub text: String,
    /// The places of the wrong lines, in order.
    pub errors: Vec<(Range<usize>, LineError)>,
}

/// Reads a file as text. It must be a regular file: a pipe would block, and so would some files of
/// the kernel that pass for regular ones, such as `/proc/kmsg`.
pub(crate) fn read(path: &Path) -> Result<SourceText, ReadError> {
    let kind = fs::metadata(path).map_err(unreadable)?;
    if kind.is_dir() {
        return Err(ReadError::Directory);
    }
    if !kind.is_file() {
        return Err(ReadError::Special);
    }
    let place = fs::canonicalize(path).map_err(unreadable)?;
    if KERNEL_DIRECTORIES.iter().any(|directory| place.starts_with(directory)) {
        return Err(ReadError::Special);
    }
    let mut bytes = Vec::new();
    // A file can grow while it is read, so the limit applies to the bytes that are read.
    // A pipe that took its place since is opened without waiting for a writer.
    let file = File::options().read(true).custom_flags(NONBLOCK).open(place);
    let limited = file.map(|file| file.take(FILE_LIMIT + 1));
    limited.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(ReadError::TooLarge);
    }
    decode(bytes)
}

fn unreadable(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::NotFound => ReadError::Missing,
        _ => ReadError::Io(error),
    }
}

/// Turns bytes into text. A line that is not UTF-8 is an error, unless it is a comment: an old
/// comment in Latin-1 is harmless.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<SourceText, ReadError> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(ReadError::Utf16);
    }
    if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
        return Err(ReadError::Binary(offset));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut text = SourceText::default();
    text.text.reserve(bytes.len());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        text.push(line);
    }
    Ok(text)
}

impl SourceText {
    fn push(&mut self, line: &[u8]) {
        let start = self.text.len();
        if line.len() > LINE_LIMIT {
            self.text.push_str(&String::from_utf8_lossy(&line[..EXCERPT_LENGTH]));
            self.errors.push((start..self.text.len(), LineError::Overlong(line.len())));
            self.text.push_str(" …\n");
            return;
        }
        let Err(error) = std::str::from_utf8(line).map(|line| self.text.push_str(line)) else { return };
        self.text.push_str(&String::from_utf8_lossy(line));
        if !line.trim_ascii_start().starts_with(b";") {
            let at = start + error.valid_up_to();
            self.errors.push((at..at + char::REPLACEMENT_CHARACTER.len_utf8(), LineError::NotUtf8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(bytes: &[u8]) -> Vec<(Range<usize>, LineError)> {
        decode(bytes.to_vec()).unwrap().errors
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(decode(b"\xef\xbb\xbf[map]\n".to_vec()).unwrap().text, "[map]\n");
    }

    #[test]
    fn what_may_block_or_never_end_is_not_read() {
        for path in ["/proc/kmsg", "/proc/self/status", "/dev/null", "/dev/zero"] {
            assert!(matches!(read(Path::new(path)), Err(ReadError::Special)), "{path}");
        }
        assert!(matches!(read(Path::new("/proc")), Err(ReadError::Directory)));
    }

    #[test]
    fn a_zero_byte_makes_a_file_binary() {
        assert!(matches!(decode(b"ab\0c".to_vec()), Err(ReadError::Binary(2))));
        assert!(matches!(decode(b"\xff\xfe[\0".to_vec()), Err(ReadError::Utf16)));
    }

    #[test]
    fn only_a_line_that_is_no_comment_must_be_utf8() {
        assert_eq!(errors(b"a\n ; f\xfcr\nb\n"), []);
        assert_eq!(errors(b"a\nf\xfcr\n"), [(3..6, LineError::NotUtf8)]);
    }

    #[test]
    fn of_an_overlong_line_only_the_beginning_is_kept() {
        let mut bytes = vec![b'x'; LINE_LIMIT + 1];
        bytes.extend_from_slice(b"\n[map]\n");
        let text = decode(bytes).unwrap();
        assert_eq!(text.text.lines().count(), 2);
        assert!(text.text.len() < 100);
        assert_eq!(text.errors, [(0..EXCERPT_LENGTH, LineError::Overlong(LINE_LIMIT + 2))]);
    }
}
