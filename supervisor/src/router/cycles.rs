//! Finds loops of mappings. The show runs with them, in bounded work, but they are rarely intended.
//!
//! A loop through backends that echo (`loopback`) needs no script to go round and is found for
//! certain. Whether events go round a loop through Python instances depends on their scripts, so
//! those loops are monitored while the show runs: see [`LoopMonitor`].

use super::Router;
use super::components;
use crate::backends::{PYTHON, echoes};
use crate::ids::InstanceId;
use crate::show::LiveShow;
use mm_config::{Endpoint, Show};
use mm_shared::LogThrottle;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The channels of every loop through backends that echo, by name, in the order of the mappings.
#[must_use]
pub fn find(show: &Show) -> Vec<Vec<String>> {
    let mut next: HashMap<(usize, usize), Vec<(usize, usize)>> = HashMap::new();
    for mapping in &show.mappings {
        if [mapping.from, mapping.to].iter().all(|end| echoes(show.instances[end.instance].backend)) {
            next.entry(key(mapping.from)).or_default().push(key(mapping.to));
        }
    }
    let mut starts: Vec<(usize, usize)> = next.keys().copied().collect();
    starts.sort_unstable();
    let mut walk = Walk { next: &next, state: HashMap::new(), loops: Vec::new() };
    for start in starts {
        walk.from(start);
    }
    walk.loops.iter().map(|nodes| nodes.iter().map(|node| name(show, *node)).collect()).collect()
}

/// Logs a warning for each loop that [`find`] finds.
pub fn warn(show: &Show) {
    for names in find(show) {
        let channels: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        tracing::warn!(
            event = "mappings_loop",
            "the mappings form a loop that never ends: {}",
            channels.join(" -> ")
        );
    }
}

fn key(end: Endpoint) -> (usize, usize) {
    (end.instance, end.channel)
}

fn name(show: &Show, (instance, channel): (usize, usize)) -> String {
    let instance = &show.instances[instance];
    format!("{}.{}", instance.name, instance.channels[channel].name)
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    OnPath,
    Done,
}

/// A depth-first walk with an explicit stack, since a chain of mappings may be as long as the show
/// file.
struct Walk<'a> {
    next: &'a HashMap<(usize, usize), Vec<(usize, usize)>>,
    state: HashMap<(usize, usize), Visit>,
    loops: Vec<Vec<(usize, usize)>>,
}

impl Walk<'_> {
    fn from(&mut self, start: (usize, usize)) {
        if self.state.contains_key(&start) {
            return;
        }
        self.state.insert(start, Visit::OnPath);
        let mut path = vec![(start, 0)];
        while let Some((node, edge)) = path.last_mut() {
            let target = self.next.get(node).and_then(|targets| targets.get(*edge)).copied();
            *edge += 1;
            match target {
                None => {
                    self.state.insert(*node, Visit::Done);
                    path.pop();
                }
                Some(target) => match self.state.get(&target) {
                    None => {
                        self.state.insert(target, Visit::OnPath);
                        path.push((target, 0));
                    }
                    Some(Visit::OnPath) => {
                        let nodes = path.iter().map(|(node, _)| *node);
                        self.loops.push(nodes.skip_while(|node| *node != target).collect());
                    }
                    Some(Visit::Done) => {}
                },
            }
        }
    }
}

/// Events per second from the instances of a loop above which a warning is logged.
const RATE_LIMIT: u64 = 20_000;
/// How often the rate is measured.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// There is one warning of a loop per interval.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Measures the event rate of each possible loop while the show runs.
#[derive(Debug, Default)]
pub struct LoopMonitor {
    loops: Vec<PossibleLoop>,
    next_check: Option<Instant>,
}

#[derive(Debug)]
struct PossibleLoop {
    instances: Vec<InstanceId>,
    channels: String,
    /// Events that its instances had sent at the last check.
    sent: u64,
    throttle: LogThrottle,
}

impl LoopMonitor {
    /// The loops that are possible in `show`.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let loops = strongly_connected(show);
        let possible = |(members, channels): (&Vec<usize>, String)| PossibleLoop {
            channels,
            instances: members.iter().map(|place| show.id(*place)).collect(),
            sent: 0,
            throttle: LogThrottle::new(1, WARNING_INTERVAL),
        };
        let channels = channels_within(show, &loops);
        Self { loops: loops.iter().zip(channels).map(possible).collect(), next_check: None }
    }

    /// Logs loops with an unusually high event rate. Called in each turn of the event loop.
    pub fn check(&mut self, router: &Router, now: Instant) {
        if self.loops.is_empty() || self.next_check.is_some_and(|next| now < next) {
            return;
        }
        let is_late = self.next_check.is_none_or(|next| now > next + CHECK_INTERVAL);
        self.next_check = Some(now + CHECK_INTERVAL);
        for possible in &mut self.loops {
            let sent: u64 = possible.instances.iter().map(|id| router.traffic(*id).arrived).sum();
            let rate = sent.saturating_sub(possible.sent);
            possible.sent = sent;
            if !is_late && rate > RATE_LIMIT && possible.throttle.hit(now).is_some() {
                let channels = &possible.channels;
                tracing::warn!(
                    event = "mapping_loop_busy",
                    rate,
                    "mapping loop: {rate} events per second through {channels}"
                );
            }
        }
    }
}

/// The sets of instances that reach each other and can send on what they receive: scripts, and
/// backends that echo.
#[must_use]
pub fn strongly_connected(show: &Show) -> Vec<Vec<usize>> {
    let passes = |no: usize| {
        let backend = show.instances[no].backend;
        backend == PYTHON || echoes(backend)
    };
    let ends = show.mappings.iter().map(|mapping| (mapping.from.instance, mapping.to.instance));
    let mut edges: Vec<(usize, usize)> = ends.filter(|(from, to)| passes(*from) && passes(*to)).collect();
    edges.sort_unstable();
    edges.dedup();
    let mut next = vec![Vec::new(); show.instances.len()];
    edges.iter().for_each(|(from, to)| next[*from].push(*to));
    components::find(&next)
}

/// The mappings within each of these sets of instances, as text; a few of them if there are many.
fn channels_within(show: &Show, sets: &[Vec<usize>]) -> Vec<String> {
    const SHOWN_LIMIT: usize = 6;
    let mut set_of: Vec<Option<usize>> = vec![None; show.instances.len()];
    for (members, set) in sets.iter().zip(0..) {
        members.iter().for_each(|member| set_of[*member] = Some(set));
    }
    let text = |end: Endpoint| format!("`{}`", name(show, key(end)));
    let mut within = vec![(0, Vec::new()); sets.len()];
    for mapping in &show.mappings {
        let (from, to) = (set_of[mapping.from.instance], set_of[mapping.to.instance]);
        let Some(set) = from.filter(|from| Some(*from) == to) else { continue };
        let (count, texts) = &mut within[set];
        *count += 1;
        if *count <= SHOWN_LIMIT {
            texts.push(format!("{} > {}", text(mapping.from), text(mapping.to)));
        }
    }
    let join = |(count, mut texts): (usize, Vec<String>)| {
        if count > SHOWN_LIMIT {
            texts.push(format!("and {} more", count - SHOWN_LIMIT));
        }
        texts.join(", ")
    };
    within.into_iter().map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_shows::{live_show, show};

    #[test]
    fn a_loop_of_loopbacks_is_named_in_the_order_in_which_events_go_round() {
        let show = show("[loopback a]\n[loopback b]\n[map]\na.x > b.y\nb.y > a.x\na.x > b.other\n");
        assert_eq!(find(&show), [["a.x", "b.y"]]);
    }

    #[test]
    fn a_chain_is_no_loop() {
        let show = show("[loopback a]\n[loopback b]\n[map]\na.x > b.y\nb.y > a.z\n");
        assert_eq!(find(&show), Vec::<Vec<String>>::new());
    }

    #[test]
    fn a_channel_mapped_to_itself_is_a_loop() {
        assert_eq!(find(&show("[loopback a]\n[map]\na.x > a.x\n")), [["a.x"]]);
    }

    #[test]
    fn scripts_that_are_mapped_to_each_other_are_looked_after() {
        let text = "[python a]\nmodule = m\n[python b]\nmodule = m\n[loopback c]\n[map]\n\
                    a.x > b.m.f\nb.y > a.m.g\nb.y > c.z\n";
        let monitor = LoopMonitor::new(&live_show(text));
        assert_eq!(monitor.loops.len(), 1);
        assert_eq!(monitor.loops[0].instances, [InstanceId(0), InstanceId(1)]);
        assert_eq!(monitor.loops[0].channels, "`a.x` > `b.m.f`, `b.y` > `a.m.g`");
    }
}
