//! Errors and warnings about a show, with their places. `render` turns them into text.

use crate::source::{Source, Sources, Span};

/// How severe a diagnostic is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One error or warning: what is wrong, where, and what to do about it.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) span: Option<Span>,
    pub(crate) label: Option<String>,
    pub(crate) others: Vec<(Span, String)>,
    pub(crate) hints: Vec<String>,
}

impl Diagnostic {
    fn new(severity: Severity, span: Option<Span>, message: String) -> Self {
        Self { severity, message, span, label: None, others: Vec::new(), hints: Vec::new() }
    }

    /// Sets the text beside the underlined source: what is wrong with it, or what was expected.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = Some(text.into());
        self
    }

    /// Adds another place to show, such as an earlier declaration.
    pub fn also(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.others.push((span, text.into()));
        self
    }

    /// Adds a `hint:` line.
    pub fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        self.hints.push(text.into());
        self
    }

    /// Adds a `hint:` line if there is a text for it.
    pub fn maybe_hint(&mut self, text: Option<impl Into<String>>) -> &mut Self {
        match text {
            Some(text) => self.hint(text),
            None => self,
        }
    }

    pub fn severity(&self) -> Severity {
        self.severity
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn span(&self) -> Option<Span> {
        self.span
    }
}

/// The most diagnostics that are kept and shown. Further ones are only counted.
const KEPT_LIMIT: usize = 1000;

/// All errors and warnings about a show, with the sources that they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    pub(crate) sources: Sources,
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    /// The last diagnostic that is not kept, so that labels and hints can be added to it.
    surplus: Option<Box<Diagnostic>>,
}

impl Diagnostics {
    /// Adds an error at `span`, or one without a place when `span` is `None`.
    pub fn error(&mut self, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Error, span.into(), message.into())
    }

    /// Adds a warning at `span`, or one without a place when `span` is `None`.
    pub fn warning(&mut self, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, span.into(), message.into())
    }

    pub(crate) fn add(&mut self, severity: Severity, span: Option<Span>, message: String) -> &mut Diagnostic {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        let diagnostic = Diagnostic::new(severity, span, message);
        if self.list.len() >= KEPT_LIMIT {
            return self.surplus.insert(Box::new(diagnostic));
        }
        let at = self.list.len();
        self.list.push(diagnostic);
        &mut self.list[at]
    }

    /// The one that was added last.
    pub(crate) fn last_mut(&mut self) -> Option<&mut Diagnostic> {
        match &mut self.surplus {
            Some(last) => Some(last),
            None => self.list.last_mut(),
        }
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of diagnostics that were found, kept or not.
    pub fn count(&self, severity: Severity) -> usize {
        match severity {
            Severity::Error => self.errors,
            Severity::Warning => self.warnings,
        }
    }

    /// The number of diagnostics that were found but not kept.
    pub(crate) fn left_out(&self) -> usize {
        self.errors + self.warnings - self.list.len()
    }

    /// Whether a further diagnostic would only be counted, so that it needs no hint.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= KEPT_LIMIT
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The source that `span` points into.
    pub fn source(&self, span: Span) -> Option<&Source> {
        self.sources.get(span.file)
    }
}
