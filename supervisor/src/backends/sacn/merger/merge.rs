//! Which level wins in each slot.
//!
//! The source with the highest priority wins, among equals the highest level (E1.31-2018 6.2.3, and
//! rule 5 of ETC's per-address priorities, start code 0xDD). A slot that no source controls has
//! rank 0.

use crate::backends::sacn::codec::layout::SLOTS_LIMIT;

/// What one source brings into the merge.
#[derive(Debug, Clone, Copy)]
pub struct Contribution<'a> {
    pub levels: &'a [u8],
    /// Of slots that have no priority of their own.
    pub rank: u8,
    /// Priorities of single slots: 0 leaves the slot to others, as do those that are missing
    /// (rules 4 and 6).
    pub slot_priorities: Option<&'a [u8]>,
}

/// The rank of a packet's priority: 1 to 201. Priorities above 200 are reserved and must not be sent
/// (6.2.3); those that are count as they are, as in ETC's receiver. 254 and 255 are equal.
#[must_use]
pub fn rank(priority: u8) -> u8 {
    priority.saturating_add(1)
}

/// The rank of a single slot's priority: that of the same priority of a packet, or 0 for none.
fn slot_rank(priority: u8) -> u8 {
    if priority == 0 { 0 } else { rank(priority) }
}

/// The levels of a universe and who has the say in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedLevels {
    pub levels: [u8; SLOTS_LIMIT],
    /// The priority that won, by slot, plus 1; 0: no source controls the slot.
    pub ranks: [u8; SLOTS_LIMIT],
    /// How many slots, from the first one, any source has ever controlled.
    carried: usize,
}

impl Default for MergedLevels {
    fn default() -> Self {
        Self { levels: [0; SLOTS_LIMIT], ranks: [0; SLOTS_LIMIT], carried: 0 }
    }
}

impl MergedLevels {
    /// Merges all sources. Slots that no source controls keep their level if `holds`, else they go
    /// to 0. Returns whether any level differs from before.
    pub fn update<'a>(&mut self, sources: impl Iterator<Item = Contribution<'a>>, holds: bool) -> bool {
        let mut merged = Self { carried: self.carried, ..Self::default() };
        sources.for_each(|source| merged.add(source));
        if holds {
            let slots = merged.levels.iter_mut().zip(&merged.ranks).zip(&self.levels);
            slots.filter(|((_, rank), _)| **rank == 0).for_each(|((level, _), before)| *level = *before);
        }
        let is_changed = merged.levels != self.levels;
        *self = merged;
        is_changed
    }

    /// The levels, without the slots at the end that no source has ever controlled.
    #[must_use]
    pub fn carried(&self) -> &[u8] {
        &self.levels[..self.carried]
    }

    fn add(&mut self, source: Contribution<'_>) {
        self.carried = self.carried.max(source.levels.len());
        let slots = self.levels.iter_mut().zip(&mut self.ranks).zip(source.levels);
        match source.slot_priorities {
            None => slots.for_each(|((level, rank), new)| take(level, rank, *new, source.rank)),
            Some(priorities) => slots.zip(priorities).for_each(|(((level, rank), new), priority)| {
                take(level, rank, *new, slot_rank(*priority));
            }),
        }
    }
}

fn take(level: &mut u8, rank: &mut u8, new_level: u8, new_rank: u8) {
    if new_rank > *rank || (new_rank == *rank && new_rank > 0 && new_level > *level) {
        (*level, *rank) = (new_level, new_rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels, priority, and priorities of single slots.
    type Source<'a> = (&'a [u8], u8, Option<&'a [u8]>);

    /// The levels and ranks of the first three slots.
    fn merged(sources: &[Source<'_>]) -> Vec<(u8, u8)> {
        let mut merged = MergedLevels::default();
        fn contribution<'a>((levels, priority, slot_priorities): &Source<'a>) -> Contribution<'a> {
            Contribution { levels, rank: rank(*priority), slot_priorities: *slot_priorities }
        }
        let contributions: Vec<_> = sources.iter().map(contribution).collect();
        merged.update(contributions.into_iter(), false);
        merged.levels.into_iter().zip(merged.ranks).take(3).collect()
    }

    #[test]
    fn the_highest_priority_wins_and_among_equals_the_highest_level() {
        assert_eq!(merged(&[(&[9, 9], 100, None), (&[1, 1], 101, None)])[..2], [(1, 102), (1, 102)]);
        assert_eq!(merged(&[(&[9, 1], 100, None), (&[1, 9], 100, None)])[..2], [(9, 101), (9, 101)]);
        assert_eq!(merged(&[(&[9], 0, None), (&[1], 1, None)])[0], (1, 2), "0 is the lowest priority");
    }

    #[test]
    fn a_slot_of_a_short_frame_is_left_to_others() {
        assert_eq!(merged(&[(&[9], 200, None), (&[1, 1, 1], 100, None)]), [(9, 201), (1, 101), (1, 101)]);
        assert_eq!(merged(&[(&[9], 200, None)]), [(9, 201), (0, 0), (0, 0)]);
    }

    #[test]
    fn priorities_of_single_slots_replace_that_of_the_packet() {
        let sources: &[Source<'_>] = &[(&[5, 5, 5], 200, Some(&[1, 0])), (&[1, 1, 1], 100, None)];
        assert_eq!(merged(sources), [(1, 101), (1, 101), (1, 101)]);
        let sources: &[Source<'_>] = &[(&[5, 5, 5], 1, Some(&[101, 100, 99])), (&[6, 6, 6], 100, None)];
        assert_eq!(merged(sources), [(5, 102), (6, 101), (6, 101)]);
    }

    #[test]
    fn reserved_priorities_are_higher_than_all_others() {
        assert_eq!(merged(&[(&[1], 201, None), (&[9], 200, None)])[0], (1, 202));
        assert_eq!(merged(&[(&[1], 0, Some(&[255])), (&[9], 200, None)])[0], (1, 255));
        assert_eq!(merged(&[(&[1], 254, None), (&[9], 255, None)])[0], (9, 255));
    }

    #[test]
    fn a_slot_that_no_source_controls_any_more_is_held_or_goes_to_zero() {
        let source = |priorities| Contribution { levels: &[7], rank: 101, slot_priorities: priorities };
        let mut held = MergedLevels::default();
        assert!(held.update([source(None)].into_iter(), true));
        assert!(!held.update([source(Some(&[0]))].into_iter(), true));
        assert_eq!((held.levels[0], held.ranks[0]), (7, 0));
        assert!(held.update([source(Some(&[0]))].into_iter(), false));
        assert_eq!(held.levels[0], 0);
    }
}
