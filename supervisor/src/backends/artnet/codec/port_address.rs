//! The number of a universe in Art-Net.

use std::fmt;

/// A Port-Address: 15 bits, of which the upper seven are the net ("Addressing" in the standard).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortAddress(u16);

impl PortAddress {
    /// Net 0, universe 0, which is an address like any other.
    pub const FIRST: Self = Self(0);

    /// `universe` is Sub-Net and Universe in one byte. `None`: the net is above 127.
    pub fn new(net: u8, universe: u8) -> Option<Self> {
        (net < 0x80).then_some(Self(u16::from_be_bytes([net, universe])))
    }

    /// From the fields of an ArtPollReply, of whose bits those beyond the address are ignored.
    pub fn from_switches(net: u8, sub_net: u8, universe: u8) -> Self {
        Self(u16::from_be_bytes([net & 0x7F, (sub_net & 0xF) << 4 | universe & 0xF]))
    }

    /// From two bytes, high byte first. Bit 15 is ignored.
    pub fn from_wire(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes) & 0x7FFF)
    }

    /// High byte first.
    pub fn to_wire(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    pub fn net(self) -> u8 {
        self.to_wire()[0]
    }

    /// Sub-Net and Universe in one byte.
    pub fn low(self) -> u8 {
        self.to_wire()[1]
    }

    pub fn sub_net(self) -> u8 {
        self.low() >> 4
    }

    /// Universe without Sub-Net, 0 to 15.
    pub fn nibble(self) -> u8 {
        self.low() & 0xF
    }

    /// All 15 bits, as consoles count universes.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// As the show file writes it.
impl fmt::Display for PortAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.net() {
            0 => write!(f, "{}", self.low()),
            net => write!(f, "{} of net {net}", self.low()),
        }
    }
}
