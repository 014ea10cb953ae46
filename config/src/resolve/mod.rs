//! From what is written to what it means: sections against the option tables,
//! names against declarations, mappings against instances.
//!
//! An instance may be used in `[map]` above its declaration, since everything
//! is read before mappings are looked at.

mod sections;
mod settings;

mod mappings;

use std::collections::HashMap;

use crate::ast::{Block, Written};
use crate::diagnostic::Diagnostics;
use crate::model::Show;
use crate::options::BackendSpec;
use crate::overrides::Override;
use crate::source::{Sources, Span};

/// Fills `show` with what `written` and `overrides` mean.
pub(crate) fn resolve(
    written: &Written,
    overrides: Vec<Override>,
    backends: &[BackendSpec],
    show: &mut Show,
    diagnostics: &mut Diagnostics,
) {
    // Nothing is read any more: the sources can be borrowed while errors are added.
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
    /// Every instance name that the show declares, rightly or not.
    declared: HashMap<&'s str, Declared>,
    /// Backends whose overrides have been applied.
    mentioned: Vec<&'static str>,
}

/// What a declaration came to.
#[derive(Copy, Clone)]
enum Declared {
    /// Index into `Show::instances`, and the name in the header.
    Instance(usize, Span),
    /// It has an error of its own; what uses it has none.
    Broken(Span),
}

impl<'s> Resolver<'s, '_> {
    fn text(&self, span: Span) -> &'s str {
        self.sources.text(span)
    }
}
