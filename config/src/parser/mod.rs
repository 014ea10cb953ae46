//! Parses lines into blocks. A line that cannot be parsed is an error, and parsing goes on with the
//! next line.
//!
//! Sections continue across files: a file that is included in the middle of `[map]` may begin with
//! mappings, and the section that it ends with continues after the include.

mod includes;

mod header;
mod mapping;

use std::path::Path;
use std::sync::Arc;

use self::header::Header;
use self::includes::Includes;
use crate::ast::{Assignment, Block, ParsedShow};
use crate::copies::FileCopies;
use crate::diagnostic::{Diagnostics, Severity};
use crate::lexer::{Piece, lines};
use crate::options::BackendSpec;
use crate::read::{LINE_LIMIT, LineError, SourceText, decode};
use crate::source::Source;

/// Parses the show file at `path` and its includes, or copies of them.
pub(crate) fn parse(
    path: &Path,
    copies: Option<&FileCopies>,
    backends: &[BackendSpec],
    diagnostics: &mut Diagnostics,
) -> ParsedShow {
    let mut parser = Parser { copies, ..Parser::new(backends, diagnostics) };
    parser.read(path, None);
    parser.written
}

/// Parses `text` as if it stood in a file at `path`.
pub(crate) fn parse_text(
    path: &Path,
    text: &str,
    backends: &[BackendSpec],
    diagnostics: &mut Diagnostics,
) -> ParsedShow {
    let mut parser = Parser::new(backends, diagnostics);
    match decode(text.as_bytes().to_vec()) {
        Ok(text) => parser.file(path, text),
        Err(problem) => parser.unreadable(path, None, &problem),
    }
    parser.written
}

struct Parser<'d> {
    /// For errors about headers that lack a word.
    backends: &'d [BackendSpec],
    /// What is read in place of the files.
    copies: Option<&'d FileCopies>,
    diagnostics: &'d mut Diagnostics,
    written: ParsedShow,
    includes: Includes,
}

impl<'d> Parser<'d> {
    fn new(backends: &'d [BackendSpec], diagnostics: &'d mut Diagnostics) -> Self {
        let (written, includes) = (ParsedShow::default(), Includes::default());
        Self { backends, copies: None, diagnostics, written, includes }
    }

    /// Parses the lines of one file. An include among them leads back here.
    fn file(&mut self, path: &Path, SourceText { text, errors }: SourceText) {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let directory = absolute.parent().unwrap_or(&absolute).to_path_buf();
        let text: Arc<str> = text.into();
        let source = Source::new(self.name(path), directory, Arc::clone(&text));
        let file = self.diagnostics.sources.add(source);
        self.written.files.push(absolute);

        let whole = Piece::whole(file, &text);
        let mut errors = errors.into_iter().peekable();
        for line in lines(whole) {
            let end = line.span.range().end;
            let mut is_wrong = false;
            while let Some((range, error)) = errors.next_if(|(range, _)| range.start < end) {
                self.line_error(whole.part(range), error);
                is_wrong = true;
            }
            if !is_wrong {
                self.line(path, line);
            }
        }
        // The rest stands in lines that the lexer takes for comments.
        errors.for_each(|(range, error)| self.line_error(whole.part(range), error));
    }

    /// How messages name a file.
    fn name(&self, path: &Path) -> String {
        let note = if self.copies.is_some() { " (kept copy)" } else { "" };
        format!("{}{note}", path.display())
    }

    fn line_error(&mut self, place: Piece<'_>, reason: LineError) {
        let error = match reason {
            LineError::Overlong(length) => {
                self.diagnostics.error(place.span, format!("a line has {length} bytes")).label("this line")
            }
            LineError::NotUtf8 => {
                self.diagnostics.error(place.span, "a line is not UTF-8 text").label("no valid character")
            }
        };
        match reason {
            LineError::Overlong(_) => error.hint(format!("a line may have {LINE_LIMIT} bytes at most")),
            LineError::NotUtf8 => error.hint("save the file with the encoding UTF-8"),
        };
    }

    fn line(&mut self, path: &Path, line: Piece<'_>) {
        let before = self.diagnostics.count(Severity::Error);
        self.read_line(path, line);
        if self.diagnostics.count(Severity::Error) > before
            && is_foreign_comment(line.text)
            && let Some(error) = self.diagnostics.last_mut()
        {
            error.hint("a comment begins with `;`");
        }
    }

    fn read_line(&mut self, path: &Path, line: Piece<'_>) {
        if line.text.starts_with('[') {
            return match self.header(line) {
                Header::Opens(block) => self.written.blocks.push(block),
                Header::Include(include) => self.include(path, include),
                Header::Nothing => {}
            };
        }
        match self.written.blocks.last() {
            None => self.outside(line),
            Some(Block::Map { .. }) => self.mapping(line),
            Some(Block::Unusable) => {}
            Some(_) => self.assignment(line),
        }
    }

    fn outside(&mut self, line: Piece<'_>) {
        self.diagnostics
            .error(line.span, "a line stands before the first section")
            .label("in no section")
            .hint("open one above it: `[backend NAME]`, `[BACKEND NAME]`, `[supervisor]` or `[map]`");
        // Reported once: the lines below are not in a section either.
        self.written.blocks.push(Block::Unusable);
    }

    fn assignment(&mut self, line: Piece<'_>) {
        let Some((key, value)) = line.split_once('=') else {
            let error = self.diagnostics.error(line.span, "not an option");
            error.label("expected `option = value`");
            if line.text.contains(['<', '>']) {
                error.hint("mappings stand below `[map]`");
            }
            return;
        };
        let (key, value) = (key.trim(), value.trim());
        if is_foreign_comment(key.text) {
            self.diagnostics.error(line.span, "not an option").label("expected `option = value`");
            return;
        }
        if key.is_empty() {
            self.diagnostics.error(line.span, "an option has no name").label("expected `option = value`");
            return;
        }
        let assignment = Assignment { key: key.span, value: value.span };
        if let Some(
            Block::Backend { settings, .. }
            | Block::Instance { settings, .. }
            | Block::Supervisor { settings },
        ) = self.written.blocks.last_mut()
        {
            settings.push(assignment);
        }
    }
}

/// Whether a line looks like a comment of another language. No option begins like that.
fn is_foreign_comment(text: &str) -> bool {
    text.starts_with('#') || text.starts_with("// ")
}
