//! Finds mapping loops. The show runs with them, in bounded work, but hardly anybody means them.
//!
//! A loop through backends that echo alone needs no script to go round and is found for certain. One through Python
//! instances depends on what their scripts do, so it is only looked after: see [`Rounds`].

use super::Router;
use crate::backends::{PYTHON, echoes};
use crate::ids::InstanceId;
use crate::show::LiveShow;
use mm_config::{Endpoint, Show};
use mm_shared::LogThrottle;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The channels of every loop, by name, in the order in which events go round.
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

/// A depth-first walk with a stack of its own, since a chain of mappings may be as long as the show file.
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

/// More events a second than this from the instances of a loop make it worth a warning.
const SUSPICIOUS: u64 = 20_000;
const WINDOW: Duration = Duration::from_secs(1);
/// There is one warning of a loop per interval.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Instances whose mappings lead from one to the next and back, looked after while the show runs.
#[derive(Debug, Default)]
pub struct Rounds {
    rounds: Vec<Round>,
    next: Option<Instant>,
}

#[derive(Debug)]
struct Round {
    instances: Vec<InstanceId>,
    channels: String,
    before: u64,
    throttle: LogThrottle,
}

impl Rounds {
    /// The loops that are possible in `show`.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        let round = |members: &Vec<usize>| Round {
            channels: channels_between(show, members),
            instances: members.iter().map(|place| show.id(*place)).collect(),
            before: 0,
            throttle: LogThrottle::new(1, WARNING_INTERVAL),
        };
        Self { rounds: sets(show).iter().map(round).collect(), next: None }
    }

    /// Warns of loops through which suspiciously many events have gone. To be called in each turn of the loop.
    pub fn look(&mut self, router: &Router, now: Instant) {
        if self.rounds.is_empty() || self.next.is_some_and(|next| now < next) {
            return;
        }
        let late = self.next.is_none_or(|next| now > next + WINDOW);
        self.next = Some(now + WINDOW);
        for round in &mut self.rounds {
            let sent: u64 = round.instances.iter().map(|no| router.traffic(*no).events_out).sum();
            let rate = sent.saturating_sub(round.before);
            round.before = sent;
            if !late && rate > SUSPICIOUS && round.throttle.hit(now).is_some() {
                let channels = &round.channels;
                tracing::warn!(
                    event = "mapping_loop_busy",
                    rate,
                    "mapping loop: {rate} events per second through {channels}"
                );
            }
        }
    }
}

/// The sets of instances that reach each other and can send on what they receive: scripts, and backends that echo.
#[must_use]
pub fn sets(show: &Show) -> Vec<Vec<usize>> {
    let count = show.instances.len();
    let passes = |no: usize| {
        let backend = show.instances[no].backend;
        backend == PYTHON || echoes(backend)
    };
    let mut next = vec![Vec::new(); count];
    for mapping in &show.mappings {
        let (from, to) = (mapping.from.instance, mapping.to.instance);
        if passes(from) && passes(to) && !next[from].contains(&to) {
            next[from].push(to);
        }
    }
    let reach: Vec<Vec<bool>> = (0..count).map(|no| reachable(&next, no)).collect();
    let mut seen = vec![false; count];
    let mut sets = Vec::new();
    for no in 0..count {
        if !seen[no] && reach[no][no] {
            let members: Vec<usize> =
                (0..count).filter(|other| reach[no][*other] && reach[*other][no]).collect();
            members.iter().for_each(|member| seen[*member] = true);
            sets.push(members);
        }
    }
    sets
}

fn reachable(next: &[Vec<usize>], start: usize) -> Vec<bool> {
    let mut reached = vec![false; next.len()];
    let mut open = next[start].clone();
    while let Some(no) = open.pop() {
        if !std::mem::replace(&mut reached[no], true) {
            open.extend(&next[no]);
        }
    }
    reached
}

/// The mappings among some instances, in words; a few of them, if there are many.
fn channels_between(show: &Show, members: &[usize]) -> String {
    const SHOWN: usize = 6;
    let inside: Vec<_> = show
        .mappings
        .iter()
        .filter(|mapping| members.contains(&mapping.from.instance) && members.contains(&mapping.to.instance))
        .collect();
    let text = |end: Endpoint| format!("`{}`", name(show, key(end)));
    let mut words: Vec<String> = inside
        .iter()
        .take(SHOWN)
        .map(|mapping| format!("{} > {}", text(mapping.from), text(mapping.to)))
        .collect();
    if inside.len() > SHOWN {
        words.push(format!("and {} more", inside.len() - SHOWN));
    }
    words.join(", ")
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
        let rounds = Rounds::new(&live_show(text));
        assert_eq!(rounds.rounds.len(), 1);
        assert_eq!(rounds.rounds[0].instances, [InstanceId(0), InstanceId(1)]);
        assert_eq!(rounds.rounds[0].channels, "`a.x` > `b.m.f`, `b.y` > `a.m.g`");
    }
}
