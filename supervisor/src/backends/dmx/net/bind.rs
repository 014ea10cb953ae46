//! `bind = HOST [PORT]` as the show file has it.

use crate::backends::udp::host;
use mm_config::options::InvalidValue;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// A bind by its place among those of its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindIndex(pub usize);

/// An interface, and the port to use there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindSpec {
    pub host: BindHost,
    pub port: u16,
}

/// Which interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindHost {
    /// All of them: `*`, `0.0.0.0` or `::`.
    Any,
    /// The one that has this address.
    Address(Ipv4Addr),
    /// The one of this name, else the one that has the address of the host of this name.
    Name(String),
}

impl BindSpec {
    /// Reads `HOST [PORT] …`. `default_port` is the protocol's. The words that follow are returned
    /// as they are.
    ///
    /// # Errors
    ///
    /// The host is missing, malformed, IPv6 or a group, or the port is 0 or not a number.
    pub fn parse(text: &str, default_port: u16) -> Result<(Self, Vec<&str>), InvalidValue> {
        let mut words = text.split_whitespace().peekable();
        let name = words.next().ok_or_else(|| InvalidValue::whole(text, "expected `HOST [PORT]`"))?;
        let host = read_host(name).map_err(|message| invalid(text, name, message))?;
        let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let port = match words.next_if(is_number) {
            Some(word) => match word.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(invalid(text, word, "expected a port from 1 to 65535".into())),
            },
            None => default_port,
        };
        Ok((Self { host, port }, words.collect()))
    }
}

/// An error at `word`, which is a part of `text`.
fn invalid(text: &str, word: &str, message: String) -> InvalidValue {
    let start = text.find(word).unwrap_or(0);
    InvalidValue { range: start..start + word.len(), message, hint: hint(word) }
}

fn hint(word: &str) -> Option<String> {
    let is_group = word.parse::<Ipv4Addr>().is_ok_and(|address| address.is_multicast());
    is_group.then(|| "groups are joined by themselves: name the interface".into())
}

fn read_host(name: &str) -> Result<BindHost, String> {
    if matches!(name, "*" | "::") {
        return Ok(BindHost::Any);
    }
    if let Some(addresses) = host::known_addresses(name) {
        let v4 = addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        return match v4 {
            Some(address) if address.is_unspecified() => Ok(BindHost::Any),
            Some(address) if address.is_multicast() || address.is_broadcast() => {
                Err("expected an address of this machine".into())
            }
            Some(address) => Ok(BindHost::Address(address)),
            None => Err("expected an IPv4 address: the protocol has no other".into()),
        };
    }
    match host::mistake(name) {
        // Names of interfaces may be longer numbers, or have dots: `eth0.100`.
        Some(expected) if !is_interface_name(name) => Err(expected.into()),
        _ => Ok(BindHost::Name(name.to_owned())),
    }
}

/// Whether the kernel accepts `name` for an interface, and no address looks like that.
fn is_interface_name(name: &str) -> bool {
    name.len() < 16 && name.starts_with(|first: char| first.is_ascii_alphabetic()) && !name.contains('/')
}

impl fmt::Display for BindSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.port)
    }
}

impl fmt::Display for BindHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, Vec<&str>) {
        let (spec, rest) = BindSpec::parse(text, 5568).unwrap();
        (spec.to_string(), rest)
    }

    #[test]
    fn hosts_ports_and_the_words_behind_them_are_told_apart() {
        assert_eq!(parsed("*"), ("* 5568".into(), vec![]));
        assert_eq!(parsed("0.0.0.0 6454"), ("* 6454".into(), vec![]));
        assert_eq!(parsed(":: 6454"), ("* 6454".into(), vec![]));
        assert_eq!(parsed("10.0.0.1  7 local"), ("10.0.0.1 7".into(), vec!["local"]));
        assert_eq!(parsed("10.0.0.1 announce=2.0.0.1"), ("10.0.0.1 5568".into(), vec!["announce=2.0.0.1"]));
        assert_eq!(parsed("localhost"), ("127.0.0.1 5568".into(), vec![]));
        for name in ["eth1", "eth0.100", "lights.example.org", "br-lan", "wlx00c0ca000001"] {
            assert_eq!(parsed(name), (format!("{name} 5568"), vec![]));
        }
    }

    #[test]
    fn what_cannot_be_an_interface_is_an_error_at_its_word() {
        let range = |text: &str| BindSpec::parse(text, 5568).unwrap_err().range;
        assert_eq!(range(""), 0..0);
        assert_eq!(range("10.0.0.256"), 0..10);
        assert_eq!(range("fe80::1 5568"), 0..7);
        assert_eq!(range("239.255.0.1"), 0..11);
        assert_eq!(range("255.255.255.255"), 0..15);
        assert_eq!(range("* 0"), 2..3);
        assert_eq!(range("eth0 70000"), 5..10);
        assert!(BindSpec::parse("239.255.0.1", 1).unwrap_err().hint.is_some());
    }
}
