//! Splits a text into lines, and lines into pieces that have a span.

use std::ops::Range;

use crate::source::{FileId, Span};

/// A piece of a source's text.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Piece<'t> {
    pub text: &'t str,
    pub span: Span,
}

impl<'t> Piece<'t> {
    pub(crate) fn whole(file: FileId, text: &'t str) -> Self {
        Self { text, span: Span::new(file, 0..text.len()) }
    }

    /// The part at `range`, which must lie on character boundaries. All separators are ASCII.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Self { text: self.text.get(range.clone()).unwrap_or_default(), span: self.span.slice(range) }
    }

    pub(crate) fn before(self, at: usize) -> Self {
        self.part(0..at)
    }

    pub(crate) fn after(self, at: usize) -> Self {
        self.part(at..self.text.len())
    }

    /// The parts before and after the first `separator`.
    pub(crate) fn split_once(self, separator: char) -> Option<(Self, Self)> {
        let at = self.text.find(separator)?;
        Some((self.before(at), self.after(at + separator.len_utf8())))
    }

    /// Without white space and control characters on either side.
    pub(crate) fn trim(self) -> Self {
        let start = self.text.len() - self.text.trim_start_matches(blank).len();
        let end = self.text.trim_end_matches(blank).len();
        self.part(start..end.max(start))
    }

    pub(crate) fn is_empty(self) -> bool {
        self.text.is_empty()
    }
}

/// Whether a character does not count around a line, a key or a value.
pub(crate) fn blank(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

/// The lines of a source, trimmed, without empty lines and comments.
pub(crate) fn lines(source: Piece<'_>) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    let lines = source.text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        source.part(start..at).trim()
    });
    lines.filter(|line| !line.is_empty() && !line.text.starts_with(';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_and_comments_are_left_out_and_the_rest_is_trimmed() {
        let source = Piece::whole(FileId(0), "\r\n; a\n \t ; b\n\u{1}key = value ; c\t\r\n\nlast");
        let found: Vec<_> = lines(source).map(|line| (line.text, line.span.start)).collect();
        assert_eq!(found, [("key = value ; c", 14), ("last", 33)]);
    }

    #[test]
    fn a_piece_knows_its_place_after_trimming_and_splitting() {
        let source = "ü = \t x ";
        let (key, value) = Piece::whole(FileId(0), source).split_once('=').unwrap();
        assert_eq!(&source[key.trim().span.range()], "ü");
        assert_eq!(&source[value.trim().span.range()], "x");
    }
}
