//! The show as it is written: sections in the order in which they are read, with includes in their
//! place. Nothing is resolved or checked yet. Everything is a span; the texts stay in the sources.

use std::path::PathBuf;

use crate::source::Span;

/// The sections of a show file and of its includes.
#[derive(Debug, Default)]
pub(crate) struct ParsedShow {
    pub blocks: Vec<Block>,
    /// In the order in which they were opened.
    pub files: Vec<PathBuf>,
}

/// A section header and the lines below it, until the next one.
#[derive(Debug)]
pub(crate) enum Block {
    Backend {
        name: Span,
        settings: Vec<Assignment>,
    },
    Instance {
        backend: Span,
        name: Span,
        settings: Vec<Assignment>,
    },
    Supervisor {
        settings: Vec<Assignment>,
    },
    Map {
        mappings: Vec<MappingLine>,
    },
    /// The header is wrong. The lines below it are not read: they would only add follow-up errors.
    Unusable,
}

/// `key = value`
#[derive(Debug)]
pub(crate) struct Assignment {
    pub key: Span,
    pub value: Span,
}

/// `left < right`
#[derive(Debug)]
pub(crate) struct MappingLine {
    pub left: ChannelReference,
    pub direction: Direction,
    pub right: ChannelReference,
}

/// Which way the events go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// `<`
    ToLeft,
    /// `>`
    ToRight,
    /// `<>`
    Both,
}

/// `instance.channel`, the channel possibly with ranges.
#[derive(Copy, Clone, Debug)]
pub(crate) struct ChannelReference {
    pub instance: Span,
    pub channel: Span,
}

impl ChannelReference {
    pub(crate) fn whole(self) -> Span {
        self.instance.to(self.channel)
    }
}
