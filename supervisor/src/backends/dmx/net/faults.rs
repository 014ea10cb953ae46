//! Nodes and interfaces that could not be sent to: counted, logged when it begins and when it ends.
//!
//! Errors come at once (no route, no link) or later: the kernel reports that a node did not answer
//! ARP for three seconds, or refused the port. As sending itself succeeds in between, a fault is
//! over when nothing was reported for some time, in which there are several keep-alive frames.

use mm_shared::LogThrottle;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The time without a failure after which a fault is over.
const FAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most faults that are known at a time. Those beyond are counted together.
const FAULTS_LIMIT: usize = 512;
/// Lines in the log: those of a rack of nodes that is switched off, then fewer.
const LOG_BURST: u32 = 40;
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Who is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultPlace {
    Node(Ipv4Addr),
    /// What is sent to groups and to all hosts, through the interface of this number.
    Interface(u32),
}

/// Why a node or an interface is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendFault {
    pub errno: Errno,
    /// Frames that were not sent, and reports about frames that were.
    pub failures: u64,
    pub since: Instant,
    last: Instant,
}

/// All faults of a backend.
#[derive(Debug)]
pub struct SendFaults {
    backend: &'static str,
    faults: BTreeMap<FaultPlace, SendFault>,
    log: LogThrottle,
    total: u64,
}

impl SendFaults {
    pub fn new(backend: &'static str) -> Self {
        let log = LogThrottle::new(LOG_BURST, LOG_INTERVAL);
        Self { backend, faults: BTreeMap::new(), log, total: 0 }
    }

    /// A frame was not sent, or is reported not to have arrived. `name` is the place for the log.
    pub fn note(&mut self, place: FaultPlace, name: &dyn std::fmt::Display, errno: Errno, now: Instant) {
        self.total += 1;
        if let Some(fault) = self.faults.get_mut(&place) {
            (fault.errno, fault.last) = (errno, now);
            fault.failures += 1;
            return;
        }
        if self.faults.len() == FAULTS_LIMIT {
            return;
        }
        self.faults.insert(place, SendFault { errno, failures: 1, since: now, last: now });
        if let Some(suppressed) = self.log.hit(now) {
            tracing::warn!(
                event = "dmx_destination_failed",
                backend = self.backend,
                suppressed,
                "cannot reach {name}: {}; sending goes on",
                text(errno)
            );
        }
    }

    pub fn of(&self, place: FaultPlace) -> Option<&SendFault> {
        self.faults.get(&place)
    }

    /// How many failures there were in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Ends faults that are over. `name` is a place for the log.
    pub fn tick(&mut self, now: Instant, name: impl Fn(FaultPlace) -> String) {
        let Self { backend, faults, log, .. } = self;
        faults.retain(|place, fault| {
            let is_over = fault.last + FAULT_TIMEOUT <= now;
            if is_over && let Some(suppressed) = log.hit(now) {
                tracing::info!(
                    event = "dmx_destination_returned",
                    backend = *backend,
                    suppressed,
                    "{} is reached again; {} failures",
                    name(*place),
                    fault.failures
                );
            }
            !is_over
        });
        if let Some(count) = log.flush(now) {
            tracing::warn!(
                event = "dmx_destination_failed",
                backend = *backend,
                suppressed = count,
                "{count} more changes of destinations"
            );
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let faults = self.faults.values().map(|fault| fault.last + FAULT_TIMEOUT);
        faults.chain(self.log.deadline()).min()
    }
}

/// An error in words.
pub fn text(errno: Errno) -> &'static str {
    match errno {
        Errno::EAGAIN => "what was sent before has not left yet",
        Errno::EHOSTUNREACH => "no such node answers",
        Errno::ECONNREFUSED => "no program receives there",
        Errno::ENETDOWN => "the interface is down",
        other => other.desc(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_as_long_as_failures_come() {
        let (mut now, node) = (Instant::now(), FaultPlace::Node([10, 0, 0, 9].into()));
        let mut faults = SendFaults::new("sacn");
        for _ in 0..3 {
            faults.note(node, &"10.0.0.9", Errno::EHOSTUNREACH, now);
            now += FAULT_TIMEOUT / 2;
            faults.tick(now, |_| "10.0.0.9".into());
        }
        assert_eq!(faults.of(node).map(|fault| fault.failures), Some(3));
        let end = faults.deadline().unwrap();
        faults.tick(end, |_| "10.0.0.9".into());
        assert_eq!((faults.of(node), faults.deadline(), faults.total()), (None, None, 3));
    }

    #[test]
    fn no_number_of_nodes_takes_more_memory() {
        let (now, mut faults) = (Instant::now(), SendFaults::new("sacn"));
        for number in 0..2000_u32 {
            faults.note(FaultPlace::Node(number.into()), &number, Errno::EHOSTUNREACH, now);
        }
        assert_eq!((faults.faults.len(), faults.total()), (FAULTS_LIMIT, 2000));
    }
}
