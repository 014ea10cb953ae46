//! `destination = HOST [PORT]`: one host to send frames to, which may be a name that has to be
//! looked up.
//!
//! A name that does not resolve is looked up again after 0.5 s, then ever more rarely, at least
//! every 10 s. One that does is looked up again every minute, because it may have another address
//! now.

use crate::backends::udp::host;
use crate::resolver::ResolvedHost;
use mm_config::options::{InvalidValue, check_port};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

/// The time until the second look-up of a name. Each failure doubles it.
const FIRST_LOOKUP_INTERVAL: Duration = Duration::from_millis(500);
/// The longest time between two look-ups while there is no address.
const LAST_LOOKUP_INTERVAL: Duration = Duration::from_secs(10);
/// The time between two look-ups of a name that has an address.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// A `HOST [PORT]` of the show file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSpec {
    pub host: String,
    pub port: u16,
}

impl DestinationSpec {
    /// Reads `HOST [PORT]`. `default_port` is the protocol's. The host is not looked up.
    ///
    /// # Errors
    ///
    /// The host is missing, malformed or IPv6, the port is 0 or not a number, or more follows.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, InvalidValue> {
        let mut words = text.split_whitespace();
        let host = words.next().ok_or_else(|| InvalidValue::whole(text, "expected `HOST [PORT]`"))?;
        if let Some(message) = mistake(host) {
            return Err(invalid(text, host, message));
        }
        let port = match words.next() {
            Some(word) => {
                check_port(word, 1).map_err(|message| invalid(text, word, &message))?;
                word.parse().unwrap_or(default_port)
            }
            None => default_port,
        };
        match words.next() {
            Some(word) => Err(invalid(text, word, "expected `HOST [PORT]`")),
            None => Ok(Self { host: host.to_owned(), port }),
        }
    }

    /// The address, if it needs no look-up.
    #[must_use]
    pub fn known(&self) -> Option<SocketAddrV4> {
        let first = first_v4(host::known_addresses(&self.host)?.into_iter())?;
        Some(SocketAddrV4::new(first, self.port))
    }
}

impl fmt::Display for DestinationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.port)
    }
}

fn mistake(name: &str) -> Option<&'static str> {
    if name == "*" {
        return Some("expected a host to send to");
    }
    match host::known_addresses(name) {
        Some(addresses) => match first_v4(addresses.into_iter()) {
            Some(address) if address.is_unspecified() => Some("expected a host to send to"),
            Some(_) => None,
            None => Some("expected an IPv4 address: the protocol has no other"),
        },
        None => host::mistake(name),
    }
}

/// An error at `word`, which is a part of `text`.
fn invalid(text: &str, word: &str, message: &str) -> InvalidValue {
    let start = word.as_ptr().addr() - text.as_ptr().addr();
    InvalidValue { range: start..start + word.len(), message: message.to_owned(), hint: None }
}

fn first_v4(mut addresses: impl Iterator<Item = IpAddr>) -> Option<Ipv4Addr> {
    addresses.find_map(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

/// The host that an instance sends to.
#[derive(Debug)]
pub struct DmxDestination {
    instance: String,
    spec: DestinationSpec,
    address: Option<SocketAddrV4>,
    /// When to look the host up; `None`: never.
    next: Option<Instant>,
    pause: Duration,
    has_failed: bool,
}

impl DmxDestination {
    #[must_use]
    pub fn new(instance: &str, spec: DestinationSpec, now: Instant) -> Self {
        let address = spec.known();
        let next = address.is_none().then_some(now);
        let (instance, pause) = (instance.to_owned(), FIRST_LOOKUP_INTERVAL);
        Self { instance, spec, address, next, pause, has_failed: false }
    }

    /// What the show file says.
    #[must_use]
    pub fn spec(&self) -> &DestinationSpec {
        &self.spec
    }

    /// The address to send to, once it is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddrV4> {
        self.address
    }

    /// When [`DmxDestination::due`] returns the host.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The host, if it is to be looked up now.
    pub fn due(&mut self, now: Instant) -> Option<&str> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        self.next = Some(now + REFRESH_INTERVAL);
        Some(&self.spec.host)
    }

    /// Takes an answer. Returns whether the address is another one now.
    pub fn on_resolved(&mut self, answer: &ResolvedHost, now: Instant) -> bool {
        if self.next.is_none() || answer.host != self.spec.host {
            return false;
        }
        let Some(found) = first_v4(answer.addresses.iter().map(SocketAddr::ip)) else {
            self.note_failure(now);
            return false;
        };
        (self.pause, self.next, self.has_failed) =
            (FIRST_LOOKUP_INTERVAL, Some(now + REFRESH_INTERVAL), false);
        let address = SocketAddrV4::new(found, self.spec.port);
        if self.address.replace(address) == Some(address) {
            return false;
        }
        tracing::info!(
            event = "dmx_destination_set",
            instance = %self.instance,
            "sending to {address}, the address of `{}`", self.spec.host
        );
        true
    }

    fn note_failure(&mut self, now: Instant) {
        self.next = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LAST_LOOKUP_INTERVAL);
        // The name server may be away; the last address stays in use.
        if self.address.is_none() && !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!(
                event = "dmx_destination_unknown",
                instance = %self.instance,
                "`destination = {}` does not resolve; its levels are sent when it does; trying again, with growing pauses",
                self.spec
            );
        }
    }

    /// For `status`: why nothing is sent.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        match self.address {
            Some(_) => None,
            None if self.has_failed => Some(format!("`destination = {}` does not resolve", self.spec)),
            None => Some(format!("`destination = {}` is being looked up", self.spec)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> std::ops::Range<usize> {
        DestinationSpec::parse(text, 5568).expect_err("it has a mistake").range
    }

    fn answer(host: &str, addresses: &[&str]) -> ResolvedHost {
        let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0));
        ResolvedHost { host: host.to_owned(), addresses: addresses.collect() }
    }

    #[test]
    fn a_destination_is_a_host_with_or_without_a_port() {
        let known = |text| DestinationSpec::parse(text, 5568).unwrap().known().map(|to| to.to_string());
        assert_eq!(known("10.0.0.7").as_deref(), Some("10.0.0.7:5568"));
        assert_eq!(known("10.0.0.255 41200").as_deref(), Some("10.0.0.255:41200"));
        assert_eq!(known("localhost").as_deref(), Some("127.0.0.1:5568"));
        assert_eq!(known("node.local 1"), None);
    }

    #[test]
    fn mistakes_are_found_at_their_word() {
        assert_eq!(range(""), 0..0);
        assert_eq!(range("*"), 0..1);
        assert_eq!(range("0.0.0.0"), 0..7);
        assert_eq!(range("10.0.0.256 5568"), 0..10);
        assert_eq!(range("fe80::1"), 0..7);
        assert_eq!(range("10.0.0.1 0"), 9..10);
        assert_eq!(range("10.0.0.1 10.0.0.1"), 9..17);
        assert_eq!(range("10.0.0.1 5568 x"), 14..15);
    }

    #[test]
    fn a_name_is_looked_up_until_it_resolves_and_then_every_minute() {
        let mut now = Instant::now();
        let spec = DestinationSpec::parse("node.invalid", 5568).unwrap();
        let mut destination = DmxDestination::new("out", spec, now);
        assert_eq!(destination.due(now), Some("node.invalid"));
        assert_eq!(destination.due(now), None);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(!destination.on_resolved(&answer("node.invalid", &["::1"]), now));
            let next = destination.deadline().unwrap();
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 10000, 10000]);
        assert!(destination.fault().is_some());
        assert!(destination.on_resolved(&answer("node.invalid", &["::1", "10.0.0.9"]), now));
        assert_eq!(destination.address(), Some("10.0.0.9:5568".parse().unwrap()));
        assert_eq!(destination.deadline(), Some(now + REFRESH_INTERVAL));
        assert!(!destination.on_resolved(&answer("node.invalid", &[]), now), "the last one stays in use");
        assert!(destination.address().is_some() && destination.fault().is_none());
        assert!(!destination.on_resolved(&answer("other.invalid", &["10.0.0.1"]), now));
    }
}
