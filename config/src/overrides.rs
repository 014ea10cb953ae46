//! Parses `-b BACKEND.OPTION=VALUE` and `-i INSTANCE.OPTION=VALUE`.
//!
//! Each override is a source of its own, so that errors underline it like a line of a file.

use std::path::Path;

use crate::Overrides;
use crate::diagnostic::Diagnostics;
use crate::lexer::Piece;
use crate::source::{Source, Span, excerpt};

/// The option of the command line that an override comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum OverrideFlag {
    Backend,
    Instance,
}

/// One override, parsed but not resolved.
#[derive(Debug)]
pub(crate) struct Override {
    pub flag: OverrideFlag,
    pub target: Span,
    pub key: Span,
    pub value: Span,
    pub applied: bool,
    /// Whether it is a warning that it was not applied.
    pub may_be_unused: bool,
}

impl OverrideFlag {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backend => "-b",
            Self::Instance => "-i",
        }
    }

    fn form(self) -> &'static str {
        match self {
            Self::Backend => "BACKEND.OPTION=VALUE",
            Self::Instance => "INSTANCE.OPTION=VALUE",
        }
    }
}

/// Parses all overrides. Paths in them are relative to the directory of the show.
pub(crate) fn parse(overrides: &Overrides, directory: &Path, diagnostics: &mut Diagnostics) -> Vec<Override> {
    let backend = overrides.backend.iter().map(|text| (OverrideFlag::Backend, text));
    let instance = overrides.instance.iter().map(|text| (OverrideFlag::Instance, text));
    let parsed = backend.chain(instance).filter_map(|(flag, text)| one(flag, text, directory, diagnostics));
    let may_be_unused = overrides.may_be_unused;
    parsed.map(|one| Override { may_be_unused, ..one }).collect()
}

fn one(flag: OverrideFlag, text: &str, directory: &Path, diagnostics: &mut Diagnostics) -> Option<Override> {
    let option = text.split('=').next().unwrap_or_default().trim();
    let name = format!("{} {}", flag.name(), excerpt(option)).trim_end().to_string();
    let file = diagnostics.sources.add(Source::new(name, directory.to_path_buf(), text.into()));
    let whole = Piece::whole(file, text);
    let parts = whole.split_once('=').and_then(|(left, value)| {
        let (target, key) = left.split_once('.')?;
        Some((target.trim(), key.trim(), value.trim()))
    });
    match parts {
        Some((target, key, value)) if !target.is_empty() && !key.is_empty() => {
            let (target, key, value) = (target.span, key.span, value.span);
            Some(Override { flag, target, key, value, applied: false, may_be_unused: false })
        }
        _ => {
            let message = format!("`{}` has no valid override", flag.name());
            diagnostics.error(whole.span, message).label(format!("expected `{}`", flag.form()));
            None
        }
    }
}
