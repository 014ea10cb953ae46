//! Counts of what arrived and had no effect, for each bind, with a warning for what is malformed.

use super::codec::{ArtnetDecodeError, PortAddress};
use super::options::SPEC;
use crate::backends::dmx::net::BindIndex;
use mm_shared::LogThrottle;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// How often malformed packets are logged.
const MALFORMED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The time in which at most [`DETECT_LIMIT`] universes that no instance has are logged.
const DETECT_INTERVAL: Duration = Duration::from_secs(5);
const DETECT_LIMIT: u32 = 10;

/// What arrived on a bind and had no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BindTraffic {
    pub malformed: u64,
    /// Packets of Art-Net that have no meaning here.
    pub other: u64,
    /// Levels of universes that no instance has, and the last of those.
    pub unused: u64,
    pub last_unused: Option<PortAddress>,
    /// Packets that this program has sent.
    pub own: u64,
}

/// What arrived and had no effect.
#[derive(Debug)]
pub struct ArtnetTraffic {
    binds: Vec<BindTraffic>,
    malformed: LogThrottle,
    detected: LogThrottle,
}

impl ArtnetTraffic {
    pub fn new(bind_count: usize) -> Self {
        Self {
            binds: vec![BindTraffic::default(); bind_count],
            malformed: LogThrottle::new(1, MALFORMED_LOG_INTERVAL),
            detected: LogThrottle::new(DETECT_LIMIT, DETECT_INTERVAL),
        }
    }

    /// There are as many binds from now on.
    pub fn resize(&mut self, bind_count: usize) {
        self.binds.resize(bind_count, BindTraffic::default());
    }

    pub fn of(&self, bind: BindIndex) -> BindTraffic {
        self.binds.get(bind.0).copied().unwrap_or_default()
    }

    pub fn note_malformed(
        &mut self,
        bind: BindIndex,
        from: SocketAddrV4,
        error: ArtnetDecodeError,
        now: Instant,
    ) {
        self.count(bind, |traffic| &mut traffic.malformed);
        if let Some(suppressed) = self.malformed.hit(now) {
            tracing::warn!(
                event = "artnet_packet_malformed",
                backend = SPEC.name,
                suppressed,
                "malformed packet from {from}: {error}; ignoring it"
            );
        }
    }

    pub fn note_other(&mut self, bind: BindIndex) {
        self.count(bind, |traffic| &mut traffic.other);
    }

    pub fn note_own(&mut self, bind: BindIndex) {
        self.count(bind, |traffic| &mut traffic.own);
    }

    /// Levels of a universe that no instance has. `detects`: say so.
    pub fn note_unused(
        &mut self,
        bind: BindIndex,
        from: SocketAddrV4,
        address: PortAddress,
        detects: bool,
        now: Instant,
    ) {
        if let Some(traffic) = self.binds.get_mut(bind.0) {
            traffic.unused += 1;
            traffic.last_unused = Some(address);
        }
        if detects && let Some(suppressed) = self.detected.hit(now) {
            let (net, universe, bind) = (address.net(), address.low(), bind.0);
            tracing::info!(
                event = "artnet_universe_detected",
                backend = SPEC.name,
                suppressed,
                "detect: {from} sends a universe that no instance has: `net = {net}`, `universe = {universe}`, \
                 `interface = {bind}`"
            );
        }
    }

    fn count(&mut self, bind: BindIndex, counter: impl Fn(&mut BindTraffic) -> &mut u64) {
        if let Some(traffic) = self.binds.get_mut(bind.0) {
            *counter(traffic) += 1;
        }
    }

    /// Logs how many lines the throttles have suppressed.
    pub fn tick(&mut self, now: Instant) {
        if let Some(count) = self.malformed.flush(now) {
            let total = self.malformed.total();
            tracing::warn!(
                event = "artnet_packet_malformed",
                backend = SPEC.name,
                suppressed = count,
                "{count} more malformed packets, {total} in all"
            );
        }
        if let Some(count) = self.detected.flush(now) {
            tracing::info!(
                event = "artnet_detect_suppressed",
                backend = SPEC.name,
                suppressed = count,
                "detect: {count} more packets of universes that no instance has not shown"
            );
        }
    }

    /// When [`ArtnetTraffic::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        [self.malformed.deadline(), self.detected.deadline()].into_iter().flatten().min()
    }
}
