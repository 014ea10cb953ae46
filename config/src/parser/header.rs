//! Section headers: `[map]`, `[supervisor]`, `[backend NAME]`, `[BACKEND NAME]`, `[include PATH]`.
//! A header with a mistake whose meaning is clear is an error, and is then read by its meaning.

use super::Parser;
use crate::ast::Block;
use crate::lexer::{Piece, blank};
use crate::section_names::{WORDS, is_backend_name};
use crate::suggest::did_you_mean;

/// The effect of a header.
pub(super) enum Header<'t> {
    Opens(Block),
    Include(Piece<'t>),
    /// The current section continues.
    Nothing,
}

impl Parser<'_> {
    pub(super) fn header<'t>(&mut self, line: Piece<'t>) -> Header<'t> {
        let inside = self.brackets(line);
        let trimmed = inside.trim();
        let (first, name) = match trimmed.text.find(blank) {
            Some(at) => (trimmed.before(at), trimmed.after(at).trim()),
            None => (trimmed, trimmed.after(trimmed.text.len())),
        };
        if first.is_empty() {
            self.diagnostics.error(line.span, "a section has no name");
            return Header::Opens(Block::Unusable);
        }
        self.check_spaces(inside, first, name);
        match first.text {
            "map" | "supervisor" => self.without_name(first, name),
            "backend" if !name.is_empty() => {
                Header::Opens(Block::Backend { name: name.span, settings: Vec::new() })
            }
            "include" if !name.is_empty() => Header::Include(name),
            "include" => {
                self.diagnostics.error(line.span, "an include has no path").hint("write `[include PATH]`");
                Header::Nothing
            }
            _ if name.is_empty() => self.nameless(line, first),
            _ => {
                Header::Opens(Block::Instance { backend: first.span, name: name.span, settings: Vec::new() })
            }
        }
    }

    /// The text between the brackets, also where the closing one is missing.
    fn brackets<'t>(&mut self, line: Piece<'t>) -> Piece<'t> {
        let inside = line.after(1);
        if let Some(text) = inside.text.strip_suffix(']') {
            return inside.before(text.len());
        }
        let Some((inside, rest)) = inside.split_once(']') else {
            self.diagnostics
                .error(line.span, "a section header is not closed")
                .label("expected `]` at the end");
            return inside;
        };
        let rest = rest.trim();
        let error = self.diagnostics.error(rest.span, "text behind a section header");
        error.label("expected the end of the line");
        if rest.text.starts_with([';', '#']) {
            error.hint("a comment is a line of its own, and begins with `;`");
        }
        inside
    }

    /// Checks that there is one space between the two words, and none around them.
    fn check_spaces(&mut self, inside: Piece<'_>, first: Piece<'_>, name: Piece<'_>) {
        let plain = if name.is_empty() { first.text.into() } else { format!("{} {}", first.text, name.text) };
        // White space at the end of a path does not count.
        let written = if first.text == "include" { inside.text.trim_end_matches(blank) } else { inside.text };
        if written != plain {
            let error = self.diagnostics.error(inside.span, "stray white space in a section header");
            error.hint(format!("write `[{plain}]`"));
        }
    }

    fn without_name(&mut self, first: Piece<'_>, name: Piece<'_>) -> Header<'static> {
        if !name.is_empty() {
            let message = format!("`[{}]` takes no name", first.text);
            self.diagnostics.error(name.span, message).hint(format!("write `[{}]`", first.text));
        }
        Header::Opens(match first.text {
            "map" => Block::Map { mappings: Vec::new() },
            _ => Block::Supervisor { settings: Vec::new() },
        })
    }

    /// A single word that is neither `map` nor `supervisor`.
    fn nameless(&mut self, line: Piece<'_>, first: Piece<'_>) -> Header<'static> {
        let word = first.text;
        if word == "backend" {
            self.diagnostics.error(line.span, "a backend section has no name").hint("write `[backend NAME]`");
        } else if is_backend_name(word, self.backends) {
            let error = self.diagnostics.error(line.span, format!("an instance of `{word}` has no name"));
            error.hint(format!("write `[{word} NAME]`, or `[backend {word}]` for its global options"));
        } else {
            let error = self.diagnostics.error(first.span, format!("unknown section `{word}`"));
            error.label("expected `map`, `supervisor`, `backend NAME`, `BACKEND NAME` or `include PATH`");
            error.maybe_hint(did_you_mean(word, WORDS));
        }
        Header::Opens(Block::Unusable)
    }
}
