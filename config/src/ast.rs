//! The show as it is written: sections in the order in which they are read,
//! includes in their place, nothing resolved and nothing checked against a
//! table. Everything is a span; the texts stay in the sources.

use std::path::PathBuf;

use crate::source::Span;

/// A show file and all that it includes.
#[derive(Debug, Default)]
pub(crate) struct Written {
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
    /// The header is wrong: the lines below it would only add errors that are none.
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
    pub left: Reference,
    pub direction: Direction,
    pub right: Reference,
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
pub(crate) struct Reference {
    pub instance: Span,
    pub channel: Span,
}

impl Reference {
    pub(crate) fn whole(self) -> Span {
        self.instance.to(self.channel)
    }
}
