//! Who sends a universe: sources that appear, end, are lost and return, one line each in the log;
//! and whether the universe is received at all.
//!
//! A source, and a universe, is lost after 2.5 s without a packet (ANSI E1.31, 6.7.1), also where the
//! protocol keeps the levels of a lost source for longer. One whose stream ends properly is gone at
//! once. Both are remembered, so that their return can be told from a new source, until others need
//! their place.

use super::InputLoss;
use crate::status::SourceStatus;
use mm_shared::LogThrottle;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// After how long without a packet a source is lost.
pub const LOSS_TIMEOUT: Duration = Duration::from_millis(2500);

/// How many sources of a universe are known by name.
pub const SOURCES_LIMIT: usize = 16;

/// The longest name of a source in bytes that is kept; that of both protocols.
const NAME_LIMIT: usize = 64;

/// How many lines in how long a time a universe may log.
const LOG_BURST: u32 = 8;
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// How long packets are counted for a rate.
const RATE_PERIOD: Duration = Duration::from_secs(1);

/// What a packet says about its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceInfo<'a> {
    pub name: Option<&'a str>,
    pub address: Ipv4Addr,
    pub priority: Option<u8>,
}

/// The sources of one universe. `K` tells them apart.
#[derive(Debug)]
pub struct SourceWatch<K> {
    instance: String,
    /// What a person calls the universe: `universe 5`.
    universe: String,
    loss: InputLoss,
    sources: Vec<Source<K>>,
    /// When the last frame of any source arrived, or the watch began.
    last_frame: Instant,
    has_received: bool,
    is_lost: bool,
    frames: u64,
    throttle: LogThrottle,
}

#[derive(Debug)]
struct Source<K> {
    key: K,
    name: Option<String>,
    address: Ipv4Addr,
    priority: Option<u8>,
    last_frame: Instant,
    rate: RateMeter,
    is_lost: bool,
}

impl<K: Copy + PartialEq> SourceWatch<K> {
    /// Nothing is received yet. `universe` is what log lines call it.
    pub fn new(instance: &str, universe: String, loss: InputLoss, now: Instant) -> Self {
        Self {
            instance: instance.to_owned(),
            universe,
            loss,
            sources: Vec::new(),
            last_frame: now,
            has_received: false,
            is_lost: false,
            frames: 0,
            throttle: LogThrottle::new(LOG_BURST, LOG_PERIOD),
        }
    }

    /// What happens when the universe is lost.
    #[must_use]
    pub fn loss(&self) -> InputLoss {
        self.loss
    }

    /// Applies another `input-loss`, for the next time that the universe is lost.
    pub fn set_loss(&mut self, loss: InputLoss) {
        self.loss = loss;
    }

    /// A frame of a source has arrived and counts.
    pub fn note_frame(&mut self, key: K, info: &SourceInfo<'_>, now: Instant) {
        let was_lost = std::mem::replace(&mut self.is_lost, false);
        let (before, is_first) = (self.last_frame, !std::mem::replace(&mut self.has_received, true));
        self.last_frame = now;
        self.frames += 1;
        let Some(source) = self.sources.iter_mut().find(|source| source.key == key) else {
            return self.add(key, info, now, is_first);
        };
        source.update(info);
        source.rate.note(now);
        let away = now.saturating_duration_since(source.last_frame).as_secs();
        source.last_frame = now;
        if std::mem::replace(&mut source.is_lost, false) {
            let dark = now.saturating_duration_since(before).as_secs();
            let Some(suppressed) = self.throttle.hit(now) else { return };
            let rest = if was_lost { format!("; nothing was received for {dark} s") } else { String::new() };
            tracing::info!(
                event = "universe_source_returned",
                instance = %self.instance,
                suppressed,
                "{}: {source} is back after {away} s{rest}",
                self.universe
            );
        }
    }

    fn add(&mut self, key: K, info: &SourceInfo<'_>, now: Instant, is_first: bool) {
        if self.sources.len() >= SOURCES_LIMIT {
            let lost = self.sources.iter().enumerate().filter(|(_, source)| source.is_lost);
            let oldest = lost.min_by_key(|(_, source)| source.last_frame).map(|(place, _)| place);
            match oldest {
                Some(place) => drop(self.sources.swap_remove(place)),
                None => return,
            }
        }
        let mut source = Source {
            key,
            name: None,
            address: info.address,
            priority: None,
            last_frame: now,
            rate: RateMeter::new(now),
            is_lost: false,
        };
        source.update(info);
        if let Some(suppressed) = self.throttle.hit(now) {
            let others = self.sources.iter().filter(|source| !source.is_lost).count();
            let rest = match others {
                0 if is_first => String::new(),
                0 => ", the only one now".to_owned(),
                count => format!(", with {count} more"),
            };
            tracing::info!(
                event = "universe_source_appeared",
                instance = %self.instance,
                suppressed,
                "{}: {source} sends it{rest}",
                self.universe
            );
        }
        self.sources.push(source);
    }

    /// A source has ended its stream. Returns whether the universe is lost by that: then the caller
    /// applies [`SourceWatch::loss`].
    #[must_use]
    pub fn end_source(&mut self, key: K, now: Instant) -> bool {
        let found = self.sources.iter().position(|source| source.key == key && !source.is_lost);
        let Some(place) = found else { return false };
        self.sources[place].is_lost = true;
        let is_lost = self.lose_universe();
        let rest = self.consequence(is_lost);
        if let Some(suppressed) = self.throttle.hit(now) {
            tracing::info!(
                event = "universe_source_ended",
                instance = %self.instance,
                suppressed,
                "{}: {} has ended its stream{rest}",
                self.universe,
                self.sources[place]
            );
        }
        is_lost
    }

    /// Looks for sources that are lost. Returns whether the universe is lost now and was not before:
    /// then the caller applies [`SourceWatch::loss`].
    #[must_use]
    pub fn tick(&mut self, now: Instant) -> bool {
        if let Some(count) = self.throttle.flush(now) {
            tracing::info!(
                event = "universe_source_changes_suppressed",
                instance = %self.instance,
                suppressed = count,
                "{}: {count} more changes of sources not shown",
                self.universe
            );
        }
        let mut is_universe_lost = false;
        for place in 0..self.sources.len() {
            let source = &mut self.sources[place];
            if source.is_lost || now < source.last_frame + LOSS_TIMEOUT {
                continue;
            }
            source.is_lost = true;
            let lost_now = self.lose_universe();
            is_universe_lost |= lost_now;
            let rest = self.consequence(lost_now);
            if let Some(suppressed) = self.throttle.hit(now) {
                tracing::warn!(
                    event = "universe_source_lost",
                    instance = %self.instance,
                    suppressed,
                    "{}: {} is lost: nothing received from it for 2.5 s{rest}",
                    self.universe,
                    self.sources[place]
                );
            }
        }
        // The universe has never been received, or only by sources beyond the limit.
        if !self.is_lost && self.has_no_source() && self.last_frame + LOSS_TIMEOUT <= now {
            self.is_lost = true;
            is_universe_lost = true;
        }
        is_universe_lost
    }

    fn has_no_source(&self) -> bool {
        self.sources.iter().all(|source| source.is_lost)
    }

    /// Notes that the universe is lost if no source is left. Returns whether it was not before.
    fn lose_universe(&mut self) -> bool {
        self.has_no_source() && !std::mem::replace(&mut self.is_lost, true)
    }

    fn consequence(&self, is_lost: bool) -> String {
        let left = self.sources.iter().filter(|source| !source.is_lost).count();
        match self.loss {
            InputLoss::Hold if is_lost => "; no source is left, its channels keep their values".to_owned(),
            InputLoss::Zero if is_lost => "; no source is left, its channels are set to 0".to_owned(),
            _ if left == 0 => String::new(),
            _ => format!("; sources left: {left}"),
        }
    }

    /// When [`SourceWatch::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let live = self.sources.iter().filter(|source| !source.is_lost);
        let loss = live.map(|source| source.last_frame + LOSS_TIMEOUT).min();
        let universe = (!self.is_lost && loss.is_none()).then(|| self.last_frame + LOSS_TIMEOUT);
        [loss, universe, self.throttle.deadline()].into_iter().flatten().min()
    }

    /// Whether the universe was received and is not any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost && self.has_received
    }

    /// When the last frame arrived; `None`: none has.
    #[must_use]
    pub fn last_frame(&self) -> Option<Instant> {
        self.has_received.then_some(self.last_frame)
    }

    /// How many frames arrived.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The sources: those that send first, then by address.
    #[must_use]
    pub fn sources(&self, now: Instant) -> Vec<SourceStatus> {
        let mut sources: Vec<&Source<K>> = self.sources.iter().collect();
        sources.sort_by_key(|source| (source.is_lost, source.address));
        let status = |source: &Source<K>| SourceStatus {
            name: source.name.clone(),
            address: source.address.to_string(),
            priority: source.priority,
            frames_per_second: if source.is_lost { 0.0 } else { source.rate.rate(now) },
            is_lost: source.is_lost,
        };
        sources.into_iter().map(status).collect()
    }
}

impl<K> Source<K> {
    fn update(&mut self, info: &SourceInfo<'_>) {
        let name = info.name.map(shortened).filter(|name| !name.is_empty());
        if self.name.as_deref() != name {
            self.name = name.map(str::to_owned);
        }
        (self.address, self.priority) = (info.address, info.priority);
    }
}

/// A name as far as it is kept.
fn shortened(name: &str) -> &str {
    let end = (0..=NAME_LIMIT.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or(0)]
}

impl<K> fmt::Display for Source<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "source `{}` ({}", name.escape_debug(), self.address)?,
            None => write!(f, "source {}", self.address)?,
        }
        if let Some(priority) = self.priority {
            let (open, _) = if self.name.is_some() { (", ", ()) } else { (" (", ()) };
            return write!(f, "{open}priority {priority})");
        }
        if self.name.is_some() { f.write_str(")") } else { Ok(()) }
    }
}

/// Counts packets per second.
#[derive(Debug)]
struct RateMeter {
    since: Instant,
    count: u32,
    /// The rate of the last whole period.
    last: Option<f64>,
}

impl RateMeter {
    /// The packet that begins the first period has arrived.
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0, last: None }
    }

    fn note(&mut self, now: Instant) {
        self.count = self.count.saturating_add(1);
        let time = now.saturating_duration_since(self.since);
        if time >= RATE_PERIOD {
            self.last = Some(f64::from(self.count) / time.as_secs_f64());
            (self.since, self.count) = (now, 0);
        }
    }

    fn rate(&self, now: Instant) -> f64 {
        let time = now.saturating_duration_since(self.since);
        match self.last {
            Some(rate) if time < RATE_PERIOD * 2 => rate,
            _ if time.is_zero() => 0.0,
            _ => f64::from(self.count) / time.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: SourceInfo<'_> =
        SourceInfo { name: Some("alice"), address: Ipv4Addr::new(10, 0, 0, 1), priority: Some(100) };
    const BOB: SourceInfo<'_> =
        SourceInfo { name: None, address: Ipv4Addr::new(10, 0, 0, 2), priority: None };

    fn watch(start: Instant) -> SourceWatch<u32> {
        SourceWatch::new("net", "universe 5".into(), InputLoss::Hold, start)
    }

    /// Frames of sources each 25 ms from `from` to `to`, in milliseconds; returns whether the
    /// universe was lost on the way.
    fn play(watch: &mut SourceWatch<u32>, start: Instant, sources: &[u32], from: u64, to: u64) -> bool {
        let mut is_lost = false;
        for at in (from..to).step_by(25).map(|at| start + Duration::from_millis(at)) {
            is_lost |= watch.deadline().is_some_and(|due| due <= at) && watch.tick(at);
            for key in sources {
                watch.note_frame(*key, if *key == 1 { &ALICE } else { &BOB }, at);
            }
        }
        is_lost
    }

    #[test]
    fn sources_have_a_rate_and_are_lost_after_2_500_ms() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut watch = watch(start);
        assert!(!play(&mut watch, start, &[1, 2], 0, 2000));
        let sources = watch.sources(at(2000));
        assert_eq!((sources[0].name.as_deref(), sources[0].priority), (Some("alice"), Some(100)));
        assert_eq!((sources[1].name.as_deref(), sources[1].address.as_str()), (None, "10.0.0.2"));
        assert!(
            sources.iter().all(|source| (39.0..=41.0).contains(&source.frames_per_second)),
            "{sources:?}"
        );
        // Only the second goes on.
        assert!(!play(&mut watch, start, &[2], 2000, 6000));
        let sources = watch.sources(at(6000));
        assert_eq!((sources[0].address.as_str(), sources[0].is_lost), ("10.0.0.2", false));
        assert_eq!((sources[1].is_lost, sources[1].frames_per_second), (true, 0.0));
        assert!(!watch.is_lost());
        // The second stops too.
        assert!(play(&mut watch, start, &[], 6000, 9000));
        assert!(watch.is_lost());
        assert_eq!(watch.deadline(), None);
        assert!(!play(&mut watch, start, &[1], 9000, 9050));
        assert!(!watch.is_lost());
        assert_eq!(watch.frames(), 80 + 80 + 160 + 2);
    }

    #[test]
    fn a_universe_is_lost_at_once_when_its_last_source_ends() {
        let start = Instant::now();
        let mut watch = watch(start);
        play(&mut watch, start, &[1, 2], 0, 100);
        assert!(!watch.end_source(1, start));
        assert!(!watch.end_source(1, start), "it has ended");
        assert!(watch.end_source(2, start));
        assert!(!watch.end_source(3, start), "an unknown one");
        assert!(watch.is_lost());
    }

    #[test]
    fn a_universe_that_was_never_received_is_reported_once() {
        let start = Instant::now();
        let mut watch = watch(start);
        assert_eq!(watch.deadline(), Some(start + LOSS_TIMEOUT));
        assert!(!watch.tick(start));
        assert!(watch.tick(start + LOSS_TIMEOUT));
        assert!(!watch.tick(start + LOSS_TIMEOUT * 2));
        assert!(!watch.is_lost(), "there is nothing to lose");
        assert_eq!((watch.deadline(), watch.last_frame()), (None, None));
    }

    #[test]
    fn a_flood_of_sources_uses_bounded_memory_and_keeps_those_that_send() {
        let start = Instant::now();
        let mut watch = watch(start);
        watch.note_frame(1, &ALICE, start);
        let long = "ä".repeat(100);
        for key in 2..10_000 {
            watch.note_frame(key, &SourceInfo { name: Some(&long), ..BOB }, start);
        }
        assert_eq!(watch.sources(start).len(), SOURCES_LIMIT);
        assert_eq!(watch.sources(start)[0].name.as_deref(), Some("alice"));
        assert_eq!(watch.sources(start)[1].name.as_deref(), Some("ä".repeat(32).as_str()));
        let later = start + LOSS_TIMEOUT;
        watch.note_frame(1, &ALICE, later);
        assert!(!watch.tick(later));
        watch.note_frame(20_000, &BOB, later);
        let live = watch.sources(later).into_iter().filter(|source| !source.is_lost);
        assert_eq!(live.count(), 2);
        assert_eq!(watch.sources(later).len(), SOURCES_LIMIT);
    }

    #[test]
    fn a_source_is_named_by_what_is_known_of_it() {
        let source = |name: Option<&str>, priority| {
            let (now, address) = (Instant::now(), Ipv4Addr::LOCALHOST);
            let (name, rate) = (name.map(str::to_owned), RateMeter::new(now));
            Source { key: 0, name, address, priority, last_frame: now, rate, is_lost: false }.to_string()
        };
        assert_eq!(source(Some("a\x1b"), Some(7)), "source `a\\u{1b}` (127.0.0.1, priority 7)");
        assert_eq!(source(Some("a"), None), "source `a` (127.0.0.1)");
        assert_eq!(source(None, Some(7)), "source 127.0.0.1 (priority 7)");
        assert_eq!(source(None, None), "source 127.0.0.1");
    }
}
