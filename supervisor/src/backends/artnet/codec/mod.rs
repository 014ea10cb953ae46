//! Art-Net 4 packets: bytes of a peer to fields, and fields to bytes. Pure.
//!
//! Source of the layouts: "Art-Net 4 Protocol Release V1.4" by Artistic Licence, the packet
//! definitions that each type names, and their descriptions in Kaitai Struct
//! (About-Time-Technologies/Lighting-Protocols, `artnet/ksy`).
//!
//! Every packet begins with `Art-Net\0` and an opcode, little-endian; all but ArtPollReply go on
//! with the version of the protocol, big-endian. Incoming bytes are hostile: they are read in place,
//! nothing is allocated, and no field is believed without a check against the datagram's length.
//! The version is not checked, because there are senders that leave it at 0 and are otherwise
//! correct.
//!
//! The crate `artnet_protocol` 0.4.4 is not used: it decodes ArtPoll and ArtDmx, but not ArtSync,
//! ArtAddress and the end of ArtPollReply, and it allocates for each packet.

mod poll_reply;
mod port_address;

pub use poll_reply::{ArtPollReply, ReplyPort};
pub use port_address::PortAddress;

/// The UDP port of Art-Net, of sender and receiver.
pub const ARTNET_PORT: u16 = 0x1936;

/// The most levels in an ArtDmx.
pub const LEVELS_LIMIT: usize = 512;

const ID: &[u8; 8] = b"Art-Net\0";

/// The version of the protocol that our packets carry.
const VERSION: u16 = 14;

const OP_POLL: u16 = 0x2000;
const OP_POLL_REPLY: u16 = 0x2100;
const OP_DMX: u16 = 0x5000;
const OP_SYNC: u16 = 0x5200;
const OP_ADDRESS: u16 = 0x6000;

/// Opcodes of Art-Net 4 that are not for us: diagnostics, commands, timecode, triggers, RDM,
/// firmware, addresses, media servers.
const OTHER_OPCODES: &[u16] = &[
    0x2300, 0x2400, 0x2700, 0x2800, 0x5100, 0x7000, 0x8000, 0x8100, 0x8200, 0x8300, 0x8400, 0x9000, 0x9100,
    0x9200, 0x9300, 0x9400, 0x9700, 0x9800, 0x9900, 0x9A00, 0x9B00, 0x9C00, 0xA010, 0xA020, 0xA040, 0xF000,
    0xF100, 0xF200, 0xF300, 0xF400, 0xF500, 0xF800, 0xF900,
];

/// Offset of what follows the header.
const BODY: usize = 12;

/// The length of an ArtDmx without levels.
const DMX_HEADER: usize = 18;

/// A packet in the bytes of its datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtnetPacket<'a> {
    Dmx(ArtDmx<'a>),
    Poll(ArtPoll),
    PollReply(Box<ArtPollReply>),
    Sync,
    Address(ArtAddress),
    /// A packet of Art-Net that has no meaning here.
    Other(u16),
}

/// Why a datagram is not a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArtnetDecodeError {
    #[error("it does not begin with `Art-Net`")]
    Id,
    #[error("the opcode {0:#06x} is unknown")]
    Opcode(u16),
    #[error("it is cut off after {0} bytes")]
    Short(usize),
    #[error("its length field says {0} levels, not 1 to {LEVELS_LIMIT}")]
    Length(u16),
    #[error("its length field says {said} levels, but it has {found}")]
    Truncated { said: u16, found: usize },
    #[error("its net is {0}, not 0 to 127")]
    Net(u8),
}

impl<'a> ArtnetPacket<'a> {
    /// Reads a datagram. Bytes behind the packet are ignored, since a later edition may have added
    /// fields.
    ///
    /// # Errors
    ///
    /// It is not a packet of Art-Net, or contradicts itself.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, ArtnetDecodeError> {
        let cut = ArtnetDecodeError::Short(datagram.len());
        let body = datagram.strip_prefix(ID).ok_or(ArtnetDecodeError::Id)?;
        let opcode = u16::from_le_bytes(array(body, 0).ok_or(cut)?);
        match opcode {
            OP_DMX => ArtDmx::decode(datagram).map(Self::Dmx),
            OP_POLL => ArtPoll::decode(datagram).map(Self::Poll).ok_or(cut),
            OP_POLL_REPLY => {
                ArtPollReply::decode(datagram).map(|it| Self::PollReply(Box::new(it))).ok_or(cut)
            }
            OP_SYNC if datagram.len() >= BODY => Ok(Self::Sync),
            OP_ADDRESS => ArtAddress::decode(datagram).map(Self::Address).ok_or(cut),
            OP_SYNC => Err(cut),
            _ if OTHER_OPCODES.contains(&opcode) => Ok(Self::Other(opcode)),
            _ => Err(ArtnetDecodeError::Opcode(opcode)),
        }
    }
}

/// Levels of a universe ("ArtDmx Packet Definition").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtDmx<'a> {
    /// 1 to 255 and round again; 0: the sender does not number its packets.
    pub sequence: u8,
    /// The sender's input port, which tells two sources at one address apart.
    pub physical: u8,
    pub address: PortAddress,
    /// The levels from slot 1 on: 1 to 512.
    pub levels: &'a [u8],
}

impl<'a> ArtDmx<'a> {
    /// The standard wants an even number of levels from 2 to 512. An odd one is taken too, since
    /// nothing about it is ambiguous.
    fn decode(datagram: &'a [u8]) -> Result<Self, ArtnetDecodeError> {
        let cut = ArtnetDecodeError::Short(datagram.len());
        let [sequence, physical, low, net] = array(datagram, BODY).ok_or(cut)?;
        let said = u16::from_be_bytes(array(datagram, 16).ok_or(cut)?);
        let address = PortAddress::new(net, low).ok_or(ArtnetDecodeError::Net(net))?;
        let levels = datagram.get(DMX_HEADER..).unwrap_or_default();
        if !(1..=LEVELS_LIMIT).contains(&usize::from(said)) {
            return Err(ArtnetDecodeError::Length(said));
        }
        let truncated = ArtnetDecodeError::Truncated { said, found: levels.len() };
        let levels = levels.get(..usize::from(said)).ok_or(truncated)?;
        Ok(Self { sequence, physical, address, levels })
    }

    /// Writes the packet over `packet`. Of more than 512 levels, those behind are left out; a 0 is
    /// added to an odd number.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        let levels = self.levels.get(..LEVELS_LIMIT).unwrap_or(self.levels);
        let length = levels.len().next_multiple_of(2).max(2);
        begin(packet, OP_DMX);
        packet.extend([self.sequence, self.physical, self.address.low(), self.address.net()]);
        packet.extend((length as u16).to_be_bytes());
        packet.extend(levels);
        packet.resize(DMX_HEADER + length, 0);
    }
}

/// The question who is there ("ArtPoll Packet Definition").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtPoll {
    /// Whether the sender wants an ArtPollReply whenever something changes (Flags, bit 1).
    pub wants_changes: bool,
    /// The first and the last universe that the sender asks about (Flags, bit 5); `None`: all.
    pub target: Option<(PortAddress, PortAddress)>,
}

const POLL_WANTS_CHANGES: u8 = 1 << 1;
const POLL_IS_TARGETED: u8 = 1 << 5;

impl ArtPoll {
    /// Accepted from 12 bytes on; missing fields are 0, as the definition says.
    fn decode(datagram: &[u8]) -> Option<Self> {
        let flags = datagram.get(BODY).copied().unwrap_or(0);
        let bound = |at| array(datagram, at).map_or(PortAddress::FIRST, PortAddress::from_wire);
        let (top, bottom) = (bound(14), bound(16));
        let target = (flags & POLL_IS_TARGETED != 0).then_some((bottom, top));
        let poll = Self { wants_changes: flags & POLL_WANTS_CHANGES != 0, target };
        (datagram.len() >= BODY).then_some(poll)
    }

    /// Whether it asks about this universe.
    pub fn asks_about(&self, address: PortAddress) -> bool {
        self.target.is_none_or(|(first, last)| (first..=last).contains(&address))
    }

    /// Writes the packet over `packet`.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        let (bottom, top) = self.target.unwrap_or((PortAddress::FIRST, PortAddress::FIRST));
        let changes = if self.wants_changes { POLL_WANTS_CHANGES } else { 0 };
        let targeted = if self.target.is_some() { POLL_IS_TARGETED } else { 0 };
        begin(packet, OP_POLL);
        // No diagnostics are wanted, so their priority is 0.
        packet.extend([changes | targeted, 0]);
        packet.extend(top.to_wire());
        packet.extend(bottom.to_wire());
        packet.extend(ESTA_MANUFACTURER.to_be_bytes());
        packet.extend(OEM.to_be_bytes());
    }
}

/// The manufacturer's code at ESTA: the prototype range, since this program has no code of its own.
const ESTA_MANUFACTURER: u16 = 0x7FF0;
/// The product's code at Artistic Licence: that of products without one (OemUnknown).
const OEM: u16 = 0x00FF;

/// A command to a node ("ArtAddress Packet Definition"). Names and addresses in it are not taken:
/// they are the show file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtAddress {
    /// Which of the pages of ArtPollReply it is for; 0 and 1 mean the first one.
    pub bind_index: u8,
    pub command: ArtCommand,
}

/// The commands that have a meaning here. The number is that of a page's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtCommand {
    /// AcCancelMerge.
    CancelMerge,
    /// AcMergeLtp0 to 3: the latest takes precedence.
    MergeLtp(u8),
    /// AcMergeHtp0 to 3: the highest takes precedence.
    MergeHtp(u8),
    Other(u8),
}

impl ArtAddress {
    fn decode(datagram: &[u8]) -> Option<Self> {
        let command = match *datagram.get(106)? {
            0x01 => ArtCommand::CancelMerge,
            code @ 0x10..=0x13 => ArtCommand::MergeLtp(code - 0x10),
            code @ 0x50..=0x53 => ArtCommand::MergeHtp(code - 0x50),
            code => ArtCommand::Other(code),
        };
        Some(Self { bind_index: *datagram.get(13)?, command })
    }
}

/// Writes the header of a packet over `packet`.
fn begin(packet: &mut Vec<u8>, opcode: u16) {
    packet.clear();
    packet.extend(ID);
    packet.extend(opcode.to_le_bytes());
    packet.extend(VERSION.to_be_bytes());
}

/// `N` bytes at `at`; `None` where the datagram ends before.
fn array<const N: usize>(datagram: &[u8], at: usize) -> Option<[u8; N]> {
    datagram.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
