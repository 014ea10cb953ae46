//! Finds out whether the peer is there, as far as UDP lets a sender know: the peer's system refuses
//! datagrams for a port on which no program listens.
//!
//! ```text
//!            a datagram is refused            time for a probe
//!   present ──────────────────────► missing ─────────────────────► probing
//!      ▲                               ▲       (1 s, 2 s … 10 s)     │  │
//!      │                               └──── refused ────────────────┘  │
//!      └───────── not refused within [`ANSWER_TIME`]: all last values ──┘
//! ```
//!
//! Events are sent to a missing peer too: a refusal may be old, or forged.

use mm_shared::LogThrottle;
use nix::errno::Errno;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The time until the first probe. Each refused probe doubles it.
const FIRST_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time between two probes.
const LAST_PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// A refusal takes no longer than this on its way.
const ANSWER_TIME: Duration = Duration::from_millis(500);
/// How often a missing peer is logged.
const MISSING_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the peer's system said last.
#[derive(Debug)]
pub struct PeerWatch {
    name: String,
    missing: Option<MissingPeer>,
    refusals: LogThrottle,
}

#[derive(Debug)]
struct MissingPeer {
    peer: SocketAddr,
    errno: Errno,
    pause: Duration,
    /// Whether a probe is on its way.
    is_probing: bool,
    deadline: Instant,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerStep {
    Wait,
    /// Send one message that was sent before.
    Probe,
    /// The probe was accepted: send all others too.
    Resend,
}

impl PeerWatch {
    pub fn new(name: String) -> Self {
        Self { name, missing: None, refusals: LogThrottle::new(1, MISSING_LOG_INTERVAL) }
    }

    /// A datagram was refused.
    pub fn note_refusal(&mut self, peer: SocketAddr, errno: Errno, now: Instant) {
        match &mut self.missing {
            None => {
                let (pause, deadline) = (FIRST_PROBE_INTERVAL, now + FIRST_PROBE_INTERVAL);
                self.missing = Some(MissingPeer { peer, errno, pause, is_probing: false, deadline });
                if let Some(suppressed) = self.refusals.hit(now) {
                    tracing::warn!(
                        event = "osc_peer_missing",
                        instance = %self.name,
                        suppressed,
                        "{peer} does not receive: {}; trying again, with growing pauses",
                        errno.desc()
                    );
                }
            }
            Some(missing) if missing.is_probing => {
                missing.is_probing = false;
                missing.pause = (missing.pause * 2).min(LAST_PROBE_INTERVAL);
                missing.deadline = now + missing.pause;
            }
            Some(_) => {}
        }
    }

    /// What is due at `now`.
    pub fn tick(&mut self, now: Instant) -> PeerStep {
        let Some(missing) = self.missing.as_mut().filter(|missing| missing.deadline <= now) else {
            return PeerStep::Wait;
        };
        if !missing.is_probing {
            missing.is_probing = true;
            missing.deadline = now + ANSWER_TIME;
            return PeerStep::Probe;
        }
        let peer = missing.peer;
        tracing::info!(event = "osc_peer_returned", instance = %self.name, "{peer} receives again");
        self.missing = None;
        PeerStep::Resend
    }

    /// There is nothing to probe with: the next refusal is the next news.
    pub fn forget(&mut self) {
        self.missing = None;
    }

    pub fn is_missing(&self) -> bool {
        self.missing.is_some()
    }

    /// For `status`.
    pub fn note(&self) -> Option<String> {
        let MissingPeer { peer, errno, .. } = self.missing.as_ref()?;
        Some(format!("{peer} does not receive: {}", errno.desc()))
    }

    /// When [`PeerWatch::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.missing.as_ref().map(|missing| missing.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_refuses_is_probed_ever_more_rarely_until_it_receives() {
        let mut watch = PeerWatch::new("out".into());
        let (mut now, peer) = (Instant::now(), SocketAddr::from(([127, 0, 0, 1], 9)));
        let mut pauses = Vec::new();
        watch.note_refusal(peer, Errno::ECONNREFUSED, now);
        for _ in 0..6 {
            watch.note_refusal(peer, Errno::ECONNREFUSED, now);
            let due = watch.deadline().expect("it is missing");
            pauses.push(due.duration_since(now).as_secs());
            assert_eq!(watch.tick(now), PeerStep::Wait);
            now = due;
            assert_eq!(watch.tick(now), PeerStep::Probe);
            watch.note_refusal(peer, Errno::ECONNREFUSED, now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 10, 10]);
        now = watch.deadline().expect("it is missing");
        assert_eq!(watch.tick(now), PeerStep::Probe);
        assert!(watch.note().is_some());
        assert_eq!(watch.tick(now + ANSWER_TIME), PeerStep::Resend);
        assert_eq!((watch.deadline(), watch.note()), (None, None));
    }
}
