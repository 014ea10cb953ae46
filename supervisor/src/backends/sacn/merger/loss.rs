//! Which sources are lost, and when they stop to count.
//!
//! A source is lost 2.5 s after its last levels (E1.31-2018 6.7.1). Where a cable is pulled, the
//! sources behind it are lost some milliseconds apart, so the last one of a low priority would win
//! for a moment. Therefore a lost source counts until every other source is known to be alive, or
//! lost too; those that are lost in that time go together.

use super::LOSS_TIMEOUT;
use super::source::{SourcePhase, TrackedSource};
use std::time::{Duration, Instant};

/// A source that was received this long before another one was lost, or later, is alive. ETC's
/// receiver looks that often.
const ALIVE_WINDOW: Duration = Duration::from_millis(100);

/// Removes the sources that are gone and hands them to `gone`, all of them together.
pub fn remove_gone(now: Instant, sources: &mut Vec<TrackedSource>, mut gone: impl FnMut(TrackedSource)) {
    let is_gone = |source: &TrackedSource, sources: &[TrackedSource]| match source.phase {
        SourcePhase::Lost { since } => sources.iter().all(|other| is_settled(other, since)),
        // It never counted.
        _ => !source.contributes() && source.last_levels + LOSS_TIMEOUT <= now,
    };
    let verdicts: Vec<bool> = sources.iter().map(|source| is_gone(source, sources)).collect();
    let mut verdicts = verdicts.into_iter();
    for source in sources.extract_if(.., |_| verdicts.next().unwrap_or(false)) {
        gone(source);
    }
}

/// Whether a source is marked as lost and still counts.
pub fn has_lost(sources: &[TrackedSource]) -> bool {
    sources.iter().any(|source| matches!(source.phase, SourcePhase::Lost { .. }))
}

/// Whether nothing has to be known about a source for one that was lost at `since` to go.
fn is_settled(source: &TrackedSource, since: Instant) -> bool {
    match source.phase {
        SourcePhase::Live if source.contributes() => source.last_levels + ALIVE_WINDOW >= since,
        _ => true,
    }
}

/// Marks sources as lost: each at its own time, or at that of an earlier one if it was not received
/// since.
pub fn mark_lost(now: Instant, sources: &mut [TrackedSource]) {
    let lost_at = |source: &TrackedSource| match source.phase {
        SourcePhase::Lost { since } => Some(since),
        SourcePhase::Live if source.contributes() => {
            Some(source.last_levels + LOSS_TIMEOUT).filter(|at| *at <= now)
        }
        _ => None,
    };
    let mut times: Vec<Instant> = sources.iter().filter_map(lost_at).collect();
    times.sort_unstable();
    for source in sources {
        if source.phase == SourcePhase::Live
            && let Some(own) = lost_at(source)
        {
            let earlier = times.iter().copied().find(|at| !is_settled(source, *at));
            source.phase = SourcePhase::Lost { since: earlier.unwrap_or(own).min(own) };
        }
    }
}

/// When the next source is lost, if none is received before.
pub fn next_deadline(sources: &[TrackedSource]) -> Option<Instant> {
    let waits = |source: &&TrackedSource| !matches!(source.phase, SourcePhase::Lost { .. });
    sources.iter().filter(waits).map(|source| source.last_levels + LOSS_TIMEOUT).min()
}
