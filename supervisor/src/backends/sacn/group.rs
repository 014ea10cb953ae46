//! The multicast groups of universes (E1.31-2018 9.3): 239.255.HIGH.LOW.

use std::net::Ipv4Addr;

/// The number by which universe discovery has its group: `E131_DISCOVERY_UNIVERSE`.
pub const DISCOVERY_UNIVERSE: u16 = 64214;

/// The group of a universe.
#[must_use]
pub fn group(universe: u16) -> Ipv4Addr {
    let [high, low] = universe.to_be_bytes();
    Ipv4Addr::new(239, 255, high, low)
}

/// The universe of a group; `None`: it is not a group of a universe, or not a group at all.
#[must_use]
pub fn universe_of(address: Ipv4Addr) -> Option<u16> {
    match address.octets() {
        [239, 255, high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_universe_has_its_group() {
        assert_eq!(group(1), Ipv4Addr::new(239, 255, 0, 1));
        assert_eq!(group(63999), Ipv4Addr::new(239, 255, 249, 255));
        assert_eq!(group(DISCOVERY_UNIVERSE), Ipv4Addr::new(239, 255, 250, 214));
        assert!((0..=u16::MAX).all(|universe| universe_of(group(universe)) == Some(universe)));
        assert_eq!(universe_of(Ipv4Addr::new(10, 255, 0, 1)), None);
    }
}
