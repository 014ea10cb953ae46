//! The texts that diagnostics point into, and the spans that point into them.
//!
//! A source is a file of the show or the text of an override. Both are rendered the same way.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The index of a source in [`Sources`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A range of bytes in one source.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub(crate) fn new(file: FileId, range: Range<usize>) -> Self {
        // Sources are far smaller than 4 GiB, see `read`.
        let clamp = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file, start: clamp(range.start), end: clamp(range.end) }
    }

    /// The part of this span at `range`, in bytes from its start; cut to this span.
    pub fn slice(self, range: Range<usize>) -> Self {
        let length = (self.end - self.start) as usize;
        let start = range.start.min(length);
        let end = range.end.clamp(start, length);
        let base = self.start as usize;
        Self::new(self.file, base + start..base + end)
    }

    /// From the start of this span to the end of `other`, which is in the same source.
    pub fn to(self, other: Self) -> Self {
        Self { end: other.end.max(self.start), ..self }
    }

    /// Where this span is in the text of its source.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A text and its origin.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    directory: PathBuf,
    text: Arc<str>,
    line_starts: Vec<u32>,
}

impl Source {
    pub(crate) fn new(name: String, directory: PathBuf, text: Arc<str>) -> Self {
        let after_newline = text.match_indices('\n').map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX));
        let line_starts = std::iter::once(0).chain(after_newline).collect();
        Self { name, directory, text, line_starts }
    }

    /// The path of the file as a user would write it, or the option of the override.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory that paths in this source are relative to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The number of the line (from 1) that holds the byte at `offset`, and where it starts.
    pub fn line_of(&self, offset: u32) -> (usize, usize) {
        let line = self.line_starts.partition_point(|&start| start <= offset).max(1);
        (line, self.line_starts[line - 1] as usize)
    }

    /// The end of the line that holds the byte at `offset`, without its line feed.
    pub(crate) fn end_of_line(&self, offset: u32) -> usize {
        let next = self.line_starts.partition_point(|&start| start <= offset);
        self.line_starts.get(next).map_or(self.text.len(), |&start| start as usize - 1)
    }
}

/// All sources of a show, in the order in which they were read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    pub(crate) fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.list.push(source);
        id
    }

    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.list.get(id.0 as usize)
    }

    /// `FILE:LINE` of a span, for messages outside a rendered diagnostic.
    pub fn place(&self, span: Span) -> String {
        match self.get(span.file) {
            Some(source) => format!("{}:{}", source.name, source.line_of(span.start).0),
            None => String::new(),
        }
    }

    /// The text at `span`; empty for a span of another show.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|source| source.text.get(span.range())).unwrap_or_default()
    }

    /// The directory that paths written at `span` are relative to.
    pub(crate) fn directory(&self, span: Span) -> PathBuf {
        self.get(span.file).map(|source| source.directory.clone()).unwrap_or_default()
    }
}

/// A text for a message, cut if it is too long to be a name.
pub(crate) fn excerpt(text: &str) -> std::borrow::Cow<'_, str> {
    const LENGTH_LIMIT: usize = 80;
    match text.char_indices().nth(LENGTH_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
