//! Resolves the parsed show: checks sections against the option tables, and looks up the instances
//! of mappings.
//!
//! `[map]` may use an instance above its declaration: mappings are resolved last.

mod sections;
mod settings;

mod mappings;

use std::collections::HashMap;

use crate::ast::{Block, ParsedShow};
use crate::diagnostic::Diagnostics;
use crate::model::Show;
use crate::options::BackendSpec;
use crate::overrides::Override;
use crate::source::{Sources, Span};

/// Fills `show` from the parsed show and the overrides.
pub(crate) fn resolve(
    written: &ParsedShow,
    overrides: Vec<Override>,
    backends: &[BackendSpec],
    show: &mut Show,
    diagnostics: &mut Diagnostics,
) {
    // No source is added from here on, so the sources can be borrowed while errors are added.
    let sources = std::mem::take(&mut diagnostics.sources);
    let declared = HashMap::new();
    let mut resolver = Resolver {
        sources: &sources,
        backends,
        diagnostics,
        show,
        overrides,
        declared,
        mentioned: Vec::new(),
    };
    resolver.sections(&written.blocks);
    resolver.report_unapplied();
    resolver.mappings(written.blocks.iter().filter_map(|block| match block {
        Block::Map { mappings } => Some(mappings),
        _ => None,
    }));
    diagnostics.sources = sources;
}

struct Resolver<'s, 'd> {
    sources: &'s Sources,
    backends: &'d [BackendSpec],
    diagnostics: &'d mut Diagnostics,
    show: &'d mut Show,
    overrides: Vec<Override>,
    /// Every instance name that the show declares, also those with an error.
    declared: HashMap<&'s str, Declaration>,
    /// Backends whose overrides have been applied.
    mentioned: Vec<&'static str>,
}

/// The outcome of the declaration of an instance.
#[derive(Copy, Clone)]
enum Declaration {
    /// Its index in `Show::instances`, and its name in the header.
    Instance(usize, Span),
    /// It has an error. Mappings that use it are not reported.
    Broken(Span),
}

impl<'s> Resolver<'s, '_> {
    fn text(&self, span: Span) -> &'s str {
        self.sources.text(span)
    }
}
