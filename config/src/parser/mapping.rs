//! Mapping lines: two references with an operator between them.
//!
//! A channel name may contain any character, also those of operators. The operator of a line is the
//! first one with white space on both sides, or else the first one, as in MIDIMonster.

use std::ops::Range;

use super::Parser;
use crate::ast::{Block, ChannelReference, Direction, MappingLine};
use crate::lexer::{Piece, blank};

impl Parser<'_> {
    pub(super) fn mapping(&mut self, line: Piece<'_>) {
        let Some((at, direction)) = operator(line.text) else {
            let error = self.diagnostics.error(line.span, "not a mapping");
            error.label("expected `<`, `>` or `<>` between two channels");
            if line.text.contains('=') {
                error.hint("options stand below `[backend NAME]` or `[BACKEND NAME]`");
            }
            return;
        };
        let operator = line.part(at.clone());
        let (left, right) = (line.before(at.start).trim(), line.after(at.end).trim());
        if self.stray_operator(left, right) {
            return;
        }
        // Both sides are parsed first, because each may have an error.
        let (left, right) =
            (self.reference(left, operator, "left"), self.reference(right, operator, "right"));
        if let (Some(left), Some(right), Some(Block::Map { mappings })) =
            (left, right, self.written.blocks.last_mut())
        {
            mappings.push(MappingLine { left, direction, right });
        }
    }

    /// Reports `a > b > c`, `a >> b` and `a -> b`, which would lead to strange channel names.
    fn stray_operator(&mut self, left: Piece<'_>, right: Piece<'_>) -> bool {
        let stray = if ends_in_shaft(left.text.chars().rev()) {
            Some(left.after(left.text.len() - 1))
        } else if ends_in_shaft(right.text.chars()) {
            Some(right.before(1))
        } else {
            [left, right].into_iter().find_map(|side| Some(side.part(standing_apart(side.text)?)))
        };
        let Some(stray) = stray else { return false };
        self.diagnostics
            .error(stray.span, format!("stray `{}` in a mapping", stray.text))
            .label("a mapping has one operator: `<`, `>` or `<>`");
        true
    }

    fn reference(&mut self, side: Piece<'_>, operator: Piece<'_>, which: &str) -> Option<ChannelReference> {
        if side.is_empty() {
            let message = format!("nothing to the {which} of `{}`", operator.text);
            self.diagnostics
                .error(operator.span, message)
                .label("expected `INSTANCE.CHANNEL` on either side");
            return None;
        }
        let (problem, label) = match side.split_once('.') {
            Some((instance, channel)) if !instance.is_empty() && !channel.is_empty() => {
                return Some(ChannelReference { instance: instance.span, channel: channel.span });
            }
            Some((instance, _)) if instance.is_empty() => ("has no instance", "expected `INSTANCE.CHANNEL`"),
            Some(_) => ("has no channel", "expected a channel name behind the dot"),
            None => ("has no channel", "expected `INSTANCE.CHANNEL`"),
        };
        let message = format!("one side of a mapping {problem}");
        self.diagnostics.error(side.span, message).label(label);
        None
    }
}

/// The operator that splits a mapping, and its place.
fn operator(line: &str) -> Option<(Range<usize>, Direction)> {
    let first = operators(line).next()?;
    let apart = operators(line).find(|at| stands_apart(line, at));
    let at = apart.unwrap_or(first);
    let direction = match &line[at.clone()] {
        "<" => Direction::ToLeft,
        ">" => Direction::ToRight,
        // MIDIMonster accepts `><` as well.
        _ => Direction::Both,
    };
    Some((at, direction))
}

/// All possible operators, from the left.
fn operators(line: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + line.get(from..)?.find(['<', '>'])?;
        let two = matches!(line.get(at..at + 2), Some("<>" | "><"));
        from = at + if two { 2 } else { 1 };
        Some(at..from)
    })
}

/// Whether there is white space on both sides.
fn stands_apart(line: &str, at: &Range<usize>) -> bool {
    line[..at.start].ends_with(blank) && line[at.end..].starts_with(blank)
}

/// Whether the text next to the operator, read away from it, begins with the `-` of an arrow (`a ->
/// b`) rather than with a name.
fn ends_in_shaft(mut outwards: impl Iterator<Item = char>) -> bool {
    matches!(outwards.next(), Some('-' | '=')) && outwards.next().is_none_or(blank)
}

/// An operator within one side that white space touches, so that it is not part of a name.
fn standing_apart(side: &str) -> Option<Range<usize>> {
    operators(side).find(|at| {
        let (before, behind) = (&side[..at.start], &side[at.end..]);
        before.is_empty() || behind.is_empty() || before.ends_with(blank) || behind.starts_with(blank)
    })
}
