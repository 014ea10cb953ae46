//! Renders diagnostics as text, in the style of rustc.
//!
//! The renderer receives only the lines around the marks, so that the cost of a diagnostic does not
//! depend on the size of its file.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{Source, Span};

/// The most lines between two places of one file that are shown in one piece.
const NEAR_LINES: usize = 30;

impl Diagnostics {
    /// All diagnostics as text in the order of their places, then a line with their number. Empty
    /// when there are none.
    pub fn render(&self, color: bool) -> String {
        let mut text = self.render_each(color);
        if !self.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// The same without the last line.
    pub fn render_each(&self, color: bool) -> String {
        render(self, color)
    }

    /// The number of errors and warnings, in words.
    pub fn summary(&self) -> String {
        summary(self)
    }
}

fn render(diagnostics: &Diagnostics, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut ordered: Vec<&Diagnostic> = diagnostics.iter().collect();
    ordered.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.file, span.start)));
    let mut text = String::new();
    for diagnostic in ordered {
        text.push_str(&renderer.render(&[group(diagnostics, diagnostic)]));
        text.push_str("\n\n");
    }
    text
}

fn group<'a>(diagnostics: &'a Diagnostics, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(printable(&diagnostic.message)));
    for snippet in snippets(diagnostics, diagnostic) {
        group = group.element(snippet);
    }
    for hint in &diagnostic.hints {
        group = group.element(Level::HELP.with_name("hint").message(printable(hint)));
    }
    group
}

type Annotated<'a> = Snippet<'a, annotate_snippets::Annotation<'a>>;

/// A part of the source to underline.
struct Mark<'a> {
    span: Span,
    kind: AnnotationKind,
    label: Option<&'a str>,
}

fn snippets<'a>(diagnostics: &'a Diagnostics, diagnostic: &'a Diagnostic) -> Vec<Annotated<'a>> {
    let Some(primary) = diagnostic.span else { return Vec::new() };
    let mut marks =
        vec![Mark { span: primary, kind: AnnotationKind::Primary, label: diagnostic.label.as_deref() }];
    let mut apart = Vec::new();
    for (span, label) in &diagnostic.others {
        let mark = Mark { span: *span, kind: AnnotationKind::Context, label: Some(label) };
        if near(diagnostics, primary, *span) { marks.push(mark) } else { apart.push(vec![mark]) }
    }
    std::iter::once(marks).chain(apart).filter_map(|marks| snippet(diagnostics, &marks)).collect()
}

fn near(diagnostics: &Diagnostics, a: Span, b: Span) -> bool {
    let line = |span: Span| diagnostics.source(span).map_or(0, |source| source.line_of(span.start).0);
    a.file == b.file && line(a).abs_diff(line(b)) <= NEAR_LINES
}

/// The lines that hold the marks, and the marks in them.
fn snippet<'a>(diagnostics: &'a Diagnostics, marks: &[Mark<'a>]) -> Option<Annotated<'a>> {
    let source = diagnostics.source(marks.first()?.span)?;
    let first = marks.iter().map(|mark| mark.span.start).min()?;
    let last = marks.iter().map(|mark| mark.span.end).max()?;
    let (line, start) = source.line_of(first);
    let end = source.end_of_line(last);
    let text = one_for_one(source.text().get(start..end)?);
    let snippet = Snippet::source(text).line_start(line).path(printable(source.name()));
    Some(snippet.annotations(marks.iter().map(|mark| {
        let annotation = mark.kind.span(inside(source, mark.span, start..end));
        annotation.label(mark.label.map(printable))
    })))
}

/// The span relative to the excerpt, moved to character boundaries: a backend may create spans that
/// are not on them.
fn inside(source: &Source, span: Span, excerpt: Range<usize>) -> Range<usize> {
    let boundary = |&at: &usize| source.text().is_char_boundary(at);
    let clamp = |offset: u32| (offset as usize).clamp(excerpt.start, excerpt.end);
    let start = (excerpt.start..=clamp(span.start)).rev().find(boundary).unwrap_or(excerpt.start);
    let end = (clamp(span.end)..=excerpt.end).find(boundary).unwrap_or(excerpt.end).max(start);
    start - excerpt.start..end - excerpt.start
}

/// Replaces the control characters of Latin-1; the renderer replaces those of ASCII only. The
/// replacement has two bytes as well, so that spans stay valid.
fn one_for_one(text: &str) -> Cow<'_, str> {
    let control = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    if text.contains(control) { text.replace(control, "·").into() } else { text.into() }
}

/// Escapes control characters: names in a show file must not control the terminal.
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

fn summary(diagnostics: &Diagnostics) -> String {
    let counted = |count: usize, noun: &str| match count {
        0 => None,
        1 => Some(format!("1 {noun}")),
        _ => Some(format!("{count} {noun}s")),
    };
    let errors = counted(diagnostics.count(Severity::Error), "error");
    let warnings = counted(diagnostics.count(Severity::Warning), "warning");
    let found = [errors, warnings].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    match diagnostics.left_out() {
        0 => found,
        more => format!("{found}, {more} of them not shown"),
    }
}
