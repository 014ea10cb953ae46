//! Checks options against their tables.

use super::Resolver;
use crate::ast::Assignment;
use crate::model::{Setting, Spanned};
use crate::options::{BackendSpec, OptionSpec, Scope};
use crate::source::{Span, excerpt};
use crate::suggest::closest;
use crate::supervisor::SUPERVISOR_OPTIONS;

/// The section that an option stands in.
#[derive(Copy, Clone)]
pub(super) enum SectionKind {
    Backend(BackendSpec),
    Instance(BackendSpec),
    Supervisor,
}

impl SectionKind {
    fn options(self) -> Box<dyn Iterator<Item = &'static OptionSpec>> {
        match self {
            Self::Backend(backend) => Box::new(backend.global_options()),
            Self::Instance(backend) => Box::new(backend.instance_options()),
            Self::Supervisor => Box::new(SUPERVISOR_OPTIONS.iter()),
        }
    }

    fn backend(self) -> Option<BackendSpec> {
        match self {
            Self::Backend(backend) | Self::Instance(backend) => Some(backend),
            Self::Supervisor => None,
        }
    }

    fn title(self) -> String {
        match self {
            Self::Backend(backend) => format!("[backend {}]", backend.name),
            Self::Instance(backend) => format!("[{} NAME]", backend.name),
            Self::Supervisor => "[supervisor]".into(),
        }
    }
}

impl Resolver<'_, '_> {
    /// The settings that are known and of the right type.
    pub(super) fn settings(&mut self, place: SectionKind, assignments: &[Assignment]) -> Vec<Setting> {
        assignments.iter().filter_map(|assignment| self.setting(place, assignment)).collect()
    }

    fn setting(&mut self, place: SectionKind, assignment: &Assignment) -> Option<Setting> {
        let (key, value) = (self.text(assignment.key), self.text(assignment.value));
        let mut canonical = key;
        if !place.backend().is_some_and(|backend| backend.ignores_options) {
            let Some(spec) = place.options().find(|spec| spec.matches(key)) else {
                self.unknown_option(place, assignment.key);
                return None;
            };
            self.check_value(spec, assignment)?;
            canonical = spec.canonical(key);
        }
        Some(Setting {
            key: Spanned { value: canonical.to_string(), span: assignment.key },
            value: Spanned { value: value.to_string(), span: assignment.value },
            directory: self.sources.directory(assignment.key),
        })
    }

    fn check_value(&mut self, spec: &OptionSpec, assignment: &Assignment) -> Option<()> {
        let (key, value) = (self.text(assignment.key), self.text(assignment.value));
        if value.is_empty() {
            let message = format!("`{}` has no value", excerpt(key));
            self.diagnostics
                .error(assignment.key, message)
                .label(format!("expected a value: {}", spec.kind.form()));
            return None;
        }
        let Err(invalid) = spec.kind.check(value) else {
            self.warn_of_comment(assignment.value);
            return Some(());
        };
        let message = format!("invalid value for `{}`", excerpt(key));
        let error = self.diagnostics.error(assignment.value.slice(invalid.range), message);
        error.label(invalid.message);
        match would_be_comment(value) {
            Some(_) => error.hint(COMMENTS),
            None => error.maybe_hint(invalid.hint),
        };
        None
    }

    /// Warns of a text that contains what looks like a comment. Any text is valid, but this one is
    /// probably a mistake.
    pub(super) fn warn_of_comment(&mut self, span: Span) {
        let text = self.text(span);
        if let Some(at) = would_be_comment(text) {
            let warning =
                self.diagnostics.warning(span.slice(at..text.len()), "`;` does not begin a comment here");
            warning.label("taken for a part of what stands before it").hint(COMMENTS);
        }
    }

    fn unknown_option(&mut self, place: SectionKind, span: Span) {
        let key = self.text(span);
        let section = place.title();
        let backend = place.backend();
        let elsewhere = backend.and_then(|backend| backend.options.iter().find(|spec| spec.matches(key)));
        if let (Some(spec), Some(BackendSpec { name, .. })) = (elsewhere, backend) {
            let message = format!("`{}` is not an option of `{section}`", excerpt(key));
            let error = self.diagnostics.error(span, message);
            error.hint(match spec.scope {
                Scope::Global => format!("it is a global option: it belongs below `[backend {name}]`"),
                _ => format!("each instance has its own: it belongs below `[{name} NAME]`"),
            });
            return;
        }
        let error = self.diagnostics.error(span, format!("unknown option `{}` in `{section}`", excerpt(key)));
        let whole = place.options().filter(|spec| spec.placeholder.is_empty());
        let names = whole.flat_map(|spec| spec.aliases.iter().copied().chain([spec.name]));
        error.hint(match closest(key, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => known_options(place),
        });
    }
}

const COMMENTS: &str = "a comment is a line of its own, and begins with `;`";

/// Where a text continues like a comment after a line, which the language does not have.
fn would_be_comment(text: &str) -> Option<usize> {
    text.find(" ;").or_else(|| text.find("\t;")).map(|at| at + 1)
}

fn known_options(place: SectionKind) -> String {
    let titles: Vec<_> = place.options().map(|spec| format!("`{}`", spec.title())).collect();
    format!("`{}` has the options {}", place.title(), titles.join(", "))
}
