//! Lines into blocks. Total: a line that cannot be read is an error, and the
//! next line is read all the same.
//!
//! Which section a line belongs to runs on from file to file: an include in the
//! middle of `[map]` holds bare mappings, and what it ends with goes on behind
//! the include.

mod includes;

mod header;
mod mapping;

use std::path::Path;
use std::sync::Arc;

use self::header::Header;
use self::includes::Includes;
use crate::ast::{Assignment, Block, Written};
use crate::diagnostic::Diagnostics;
use crate::lexer::{Piece, lines};
use crate::options::BackendSpec;
use crate::read::{Flaw, LONGEST_LINE, Text, decode};
use crate::source::Source;

/// Reads the show file at `path` and all that it includes.
pub(crate) fn parse(path: &Path, backends: &[BackendSpec], diagnostics: &mut Diagnostics) -> Written {
    let mut parser = Parser::new(backends, diagnostics);
    parser.read(path, None);
    parser.written
}

/// Reads `text` as if it stood in a file at `path`.
pub(crate) fn parse_text(
    path: &Path,
    text: &str,
    backends: &[BackendSpec],
    diagnostics: &mut Diagnostics,
) -> Written {
    let mut parser = Parser::new(backends, diagnostics);
    match decode(text.as_bytes().to_vec()) {
        Ok(text) => parser.file(path, text),
        Err(problem) => parser.unreadable(path, None, &problem),
    }
    parser.written
}

struct Parser<'d> {
    /// For what is said of headers that lack a word.
    backends: &'d [BackendSpec],
    diagnostics: &'d mut Diagnostics,
    written: Written,
    includes: Includes,
}

impl<'d> Parser<'d> {
    fn new(backends: &'d [BackendSpec], diagnostics: &'d mut Diagnostics) -> Self {
        Self { backends, diagnostics, written: Written::default(), includes: Includes::default() }
    }

    /// The lines of one file; an include among them comes back here.
    fn file(&mut self, path: &Path, Text { text, flaws }: Text) {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let directory = absolute.parent().unwrap_or(&absolute).to_path_buf();
        let text: Arc<str> = text.into();
        let source = Source::new(path.display().to_string(), directory, Arc::clone(&text));
        let file = self.diagnostics.sources.add(source);
        self.written.files.push(absolute);

        let whole = Piece::whole(file, &text);
        let mut flaws = flaws.into_iter().peekable();
        for line in lines(whole) {
            let end = line.span.range().end;
            let mut flawed = false;
            while let Some((range, flaw)) = flaws.next_if(|(range, _)| range.start < end) {
                self.flaw(whole.part(range), flaw);
                flawed = true;
            }
            if !flawed {
                self.line(path, line);
            }
        }
        // What is left stands in lines that the lexer takes for comments.
        flaws.for_each(|(range, flaw)| self.flaw(whole.part(range), flaw));
    }

    fn flaw(&mut self, place: Piece<'_>, flaw: Flaw) {
        let error = match flaw {
            Flaw::Overlong(length) => {
                self.diagnostics.error(place.span, format!("a line has {length} bytes")).label("this line")
            }
            Flaw::NotUtf8 => {
                self.diagnostics.error(place.span, "a line is not UTF-8 text").label("no valid character")
            }
        };
        match flaw {
            Flaw::Overlong(_) => error.hint(format!("a line may have {LONGEST_LINE} bytes at most")),
            Flaw::NotUtf8 => error.hint("save the file with the encoding UTF-8"),
        };
    }

    fn line(&mut self, path: &Path, line: Piece<'_>) {
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
        // Said once; the lines below it are in no section either.
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
