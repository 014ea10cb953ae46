//! The host of an address in the show file: an IP address, or a name that has to be looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses of a host that need no look-up. `None`: a name server knows them, or none does.
///
/// `localhost` is IPv4 first, as most programs that receive OSC are.
pub fn known_addresses(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    host.parse().ok().map(|address| vec![address])
}

/// Why a host is neither an IP address nor a name that a name server may know; `None`: it is one.
pub fn mistake(host: &str) -> Option<&'static str> {
    if known_addresses(host).is_some() {
        return None;
    }
    // A zone, as in `fe80::1%eth0`, is for the system to look up.
    if host.contains(':') {
        return (!host.contains('%')).then_some("expected an IPv6 address");
    }
    let labels = || host.strip_suffix('.').unwrap_or(host).split('.');
    if labels().next_back().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Some("expected four numbers from 0 to 255, without leading zeros");
    }
    let is_label = |label: &str| (1..=63).contains(&label.len());
    (!labels().all(is_label)).then_some("expected a host name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_from_mistakes() {
        for host in ["10.0.0.1", "::1", "localhost", "stage-left", "stage.local.", "fe80::1%eth0", "7up.tv"] {
            assert_eq!(mistake(host), None, "{host}");
        }
        for host in ["999.1.1.1", "10.0.0", "10.0.0.01", "8000", "no..host", ".", "fe80::x", "1:2"] {
            assert!(mistake(host).is_some(), "{host}");
        }
    }

    #[test]
    fn a_name_has_no_address_before_it_is_looked_up() {
        assert_eq!(known_addresses("stage-left"), None);
        assert_eq!(known_addresses("10.0.0.1"), Some(vec![[10, 0, 0, 1].into()]));
    }
}
