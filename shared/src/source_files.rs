//! The source files of a script, as a worker reports what it has loaded, and as a later worker of
//! the instance may get them back in place of the files on disk.
//!
//! A list is one run of bytes: the supervisor keeps and returns it, and needs to look at no more
//! than the paths. For each file:
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | length of the path, little endian |
//! | 4 | length of the text, little endian; [`NO_TEXT`] if the text is not known |
//! | … | the path |
//! | … | the text |

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The most files that a worker reports in its life.
pub const FILES_LIMIT: usize = 2048;

/// The most bytes of all lists that a worker sends in its life. Texts beyond are left out.
pub const BYTES_LIMIT: usize = 3 << 20;

/// In place of a length: the file was loaded, but its text is not known.
const NO_TEXT: u32 = u32::MAX;

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceFile<'a> {
    /// Where it is, as Python has it in `__file__`.
    pub path: &'a Path,
    /// Its content, if it is known.
    pub text: Option<&'a [u8]>,
}

/// The bytes are not a list of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a list of source files is malformed")]
pub struct Malformed;

impl SourceFile<'_> {
    /// Bytes that it takes in a list.
    #[must_use]
    pub fn size(&self) -> usize {
        8 + self.path.as_os_str().len() + self.text.map_or(0, <[u8]>::len)
    }

    /// Appends it to a list. One that is too long for a length of four bytes is left out.
    pub fn append_to(&self, list: &mut Vec<u8>) {
        let path = self.path.as_os_str().as_bytes();
        let Ok(path_length) = u32::try_from(path.len()) else { return };
        let text_length = self.text.map_or(NO_TEXT, |text| u32::try_from(text.len()).unwrap_or(NO_TEXT));
        list.extend_from_slice(&path_length.to_le_bytes());
        list.extend_from_slice(&text_length.to_le_bytes());
        list.extend_from_slice(path);
        if text_length != NO_TEXT {
            list.extend_from_slice(self.text.unwrap_or_default());
        }
    }
}

/// The files of a list.
#[must_use]
pub fn files(list: &[u8]) -> SourceFiles<'_> {
    SourceFiles { rest: list }
}

/// Iterates over the files of a list, up to the first mistake in it.
#[derive(Debug, Clone)]
pub struct SourceFiles<'a> {
    rest: &'a [u8],
}

impl<'a> SourceFiles<'a> {
    fn parse(&mut self) -> Option<SourceFile<'a>> {
        let path_length = self.length()?;
        let text_length = self.length()?;
        let path = Path::new(OsStr::from_bytes(self.bytes(path_length)?));
        let text = if text_length == NO_TEXT { None } else { Some(self.bytes(text_length)?) };
        Some(SourceFile { path, text })
    }

    fn length(&mut self) -> Option<u32> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*length))
    }

    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for SourceFiles<'a> {
    type Item = Result<SourceFile<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let file = self.parse();
        if file.is_none() {
            self.rest = &[];
        }
        Some(file.ok_or(Malformed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_gives_back_its_files() {
        let written = [
            SourceFile { path: Path::new("/show/a.py"), text: Some(b"import b\n") },
            SourceFile { path: Path::new("/show/fast.so"), text: None },
            SourceFile { path: Path::new("/show/empty.py"), text: Some(b"") },
        ];
        let mut list = Vec::new();
        written.iter().for_each(|file| file.append_to(&mut list));
        assert_eq!(list.len(), written.iter().map(SourceFile::size).sum::<usize>());
        let read: Vec<_> = files(&list).collect();
        assert_eq!(read, written.map(Ok));
    }

    #[test]
    fn a_list_that_is_cut_ends_with_an_error() {
        let mut list = Vec::new();
        SourceFile { path: Path::new("/a"), text: Some(b"text") }.append_to(&mut list);
        for length in 1..list.len() {
            let read: Vec<_> = files(&list[..length]).collect();
            assert_eq!(read, [Err(Malformed)], "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(list: Vec<u8>) {
            prop_assert!(files(&list).count() <= list.len());
        }
    }
}
