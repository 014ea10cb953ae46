//! A destination whose host has to be looked up: when to do so, and what its answers change.
//!
//! A name that does not resolve is looked up again after 0.5 s, then ever more rarely, at least
//! every 10 s. One that does is looked up again every minute, and every 10 s while the peer is not
//! reached, because it may have another address now.

use super::options::OscAddress;
use super::socket::OscSocket;
use crate::resolver::ResolvedHost;
use std::time::{Duration, Instant};

/// The time until the second look-up of a name. Each failure doubles it.
const FIRST_LOOKUP_INTERVAL: Duration = Duration::from_millis(500);
/// The longest time between two look-ups while there is no address, or none that works.
const LAST_LOOKUP_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two look-ups of a name whose address works.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The look-ups of one host.
#[derive(Debug)]
pub struct DestinationLookup {
    instance: String,
    host: String,
    port: u16,
    pause: Duration,
    /// When to look it up next, whether there is an answer until then or not.
    next: Instant,
    last: Instant,
    /// Why there is no address.
    fault: Option<String>,
}

impl DestinationLookup {
    /// `None`: the address needs no look-up.
    pub fn new(instance: &str, address: &OscAddress, now: Instant) -> Option<Self> {
        if address.known().is_some() {
            return None;
        }
        let (instance, host) = (instance.to_owned(), address.host.clone());
        let pause = FIRST_LOOKUP_INTERVAL;
        Some(Self { instance, host, port: address.port, pause, next: now, last: now, fault: None })
    }

    /// The host, if it is to be looked up now.
    pub fn due(&mut self, now: Instant) -> Option<&str> {
        if self.next > now {
            return None;
        }
        (self.last, self.next) = (now, now + REFRESH_INTERVAL);
        Some(&self.host)
    }

    /// When [`DestinationLookup::due`] returns the host. `is_troubled`: the peer is not reached,
    /// which brings the look-up forward.
    pub fn deadline(&mut self, is_troubled: bool) -> Instant {
        if is_troubled {
            self.next = self.next.min(self.last + LAST_LOOKUP_INTERVAL);
        }
        self.next
    }

    /// Takes an answer. Returns whether the socket has another peer now.
    pub fn answered(&mut self, answer: &ResolvedHost, port: &mut OscSocket, now: Instant) -> bool {
        if answer.host != self.host {
            return false;
        }
        let found = answer.addresses.iter().map(|address| {
            let mut address = *address;
            address.set_port(self.port);
            port.reachable(address)
        });
        let found: Vec<_> = found.collect();
        let reachable: Vec<_> = found.iter().copied().flatten().collect();
        let Some(first) = reachable.first().copied() else {
            let is_known = !found.is_empty();
            self.note_failure(is_known, port, now);
            return false;
        };
        (self.pause, self.next, self.fault) = (FIRST_LOOKUP_INTERVAL, now + REFRESH_INTERVAL, None);
        if port.peer().is_some_and(|peer| reachable.contains(&peer)) {
            return false;
        }
        port.set_peer(first);
        tracing::info!(
            event = "osc_destination_set",
            instance = %self.instance,
            "sending to {first}, the address of `{}`", self.host
        );
        true
    }

    /// `is_known`: there are addresses, but none that the socket reaches.
    fn note_failure(&mut self, is_known: bool, port: &OscSocket, now: Instant) {
        self.next = now + self.pause;
        self.pause = (self.pause * 2).min(LAST_LOOKUP_INTERVAL);
        if port.peer().is_some() {
            // The name server may be away; the last address stays in use.
            return;
        }
        let (host, number) = (&self.host, self.port);
        let reason = match is_known {
            true => "cannot be reached from the address of `bind`: one is IPv4, the other IPv6",
            false => "does not resolve",
        };
        let fault = format!("`destination = {host} {number}` {reason}");
        if self.fault.as_ref() != Some(&fault) {
            tracing::warn!(
                event = "osc_destination_unknown",
                instance = %self.instance,
                "{fault}; the last values are sent when it does; trying again, with growing pauses"
            );
            self.fault = Some(fault);
        }
    }

    /// For `status`.
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
