//! E1.31 packets: bytes of a peer to packets, and universes to bytes.
//!
//! Incoming bytes are hostile. They are read in place, every access is checked, and reading
//! allocates nothing. A packet is read if all fields have the values that the standard fixes and
//! each layer ends within the one around it. Bytes behind the root layer are ignored.
//!
//! Source of the format: ANSI E1.31-2018; see [`layout`].

pub mod layout;

mod encode;

pub use encode::{SacnFrame, SacnFrameOptions, discovery_page, sync_packet};

use layout as at;
use std::fmt;

/// The start code of levels (DMX512-A null start code).
pub const START_CODE_LEVELS: u8 = 0x00;
/// The start code of priorities of single slots.
pub const START_CODE_PRIORITIES: u8 = 0xdd;

/// The highest universe (6.2.7).
pub const UNIVERSE_LIMIT: u16 = 63999;
/// The highest priority (6.2.3).
pub const PRIORITY_LIMIT: u8 = 200;

/// The id of a sender, unique on the network (5.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SacnCid(pub [u8; 16]);

impl fmt::Display for SacnCid {
    /// As a UUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SacnCid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SacnCid({self})")
    }
}

/// Why a datagram is not an E1.31 packet that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SacnDecodeError {
    #[error("it is not an ACN packet")]
    Preamble,
    #[error("a layer ends outside the one around it")]
    Length,
    #[error("the vector of the root layer is {0:#x}")]
    RootVector(u32),
    #[error("the vector of the framing layer is {0:#x}")]
    FramingVector(u32),
    #[error("the vector of the universe discovery layer is {0:#x}")]
    DiscoveryVector(u32),
    #[error("the fixed values of the DMP layer differ")]
    Dmp,
    #[error("the property value count is {0}")]
    PropertyCount(u16),
    #[error("the universe is {0}")]
    Universe(u16),
}

/// A packet in the bytes of its datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SacnPacket<'a> {
    Data(SacnData<'a>),
    Sync(SacnSync),
    Discovery(SacnDiscovery<'a>),
}

/// A data packet (table 4-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SacnData<'a> {
    pub cid: SacnCid,
    /// Up to its first zero, as sent.
    pub source_name: &'a [u8],
    pub priority: u8,
    /// 0: not synchronised.
    pub sync_address: u16,
    pub sequence: u8,
    pub is_preview: bool,
    pub is_terminated: bool,
    pub forces_sync: bool,
    pub universe: u16,
    pub start_code: u8,
    /// At most 512.
    pub slots: &'a [u8],
}

/// A synchronisation packet (table 4-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SacnSync {
    pub cid: SacnCid,
    pub sequence: u8,
    pub sync_address: u16,
}

/// A page of the universes that a source sends (table 4-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SacnDiscovery<'a> {
    pub cid: SacnCid,
    /// Up to its first zero, as sent.
    pub source_name: &'a [u8],
    pub page: u8,
    pub last_page: u8,
    /// Two bytes each, at most 512.
    list: &'a [u8],
}

impl<'a> SacnDiscovery<'a> {
    /// The universes of this page, in the order of the packet.
    pub fn universes(&self) -> impl Iterator<Item = u16> + 'a {
        self.list.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes))
    }
}

impl SacnPacket<'_> {
    /// The sender.
    #[must_use]
    pub fn cid(&self) -> SacnCid {
        match self {
            Self::Data(data) => data.cid,
            Self::Sync(sync) => sync.cid,
            Self::Discovery(discovery) => discovery.cid,
        }
    }
}

/// Reads a datagram.
///
/// # Errors
///
/// It is not an E1.31 packet, or not a whole one.
pub fn decode(datagram: &[u8]) -> Result<SacnPacket<'_>, SacnDecodeError> {
    if !datagram.starts_with(&at::PREAMBLE) {
        return Err(SacnDecodeError::Preamble);
    }
    let packet = layer(datagram, at::ROOT_LENGTH)?;
    let packet = layer(packet, at::FRAMING_LENGTH)?;
    let cid = SacnCid(array(packet, at::CID)?);
    let root = u32::from_be_bytes(array(packet, at::ROOT_VECTOR)?);
    let framing = u32::from_be_bytes(array(packet, at::FRAMING_VECTOR)?);
    match (root, framing) {
        (at::ROOT_DATA, at::FRAMING_DATA) => decode_data(packet, cid).map(SacnPacket::Data),
        (at::ROOT_EXTENDED, at::FRAMING_SYNC) => decode_sync(packet, cid).map(SacnPacket::Sync),
        (at::ROOT_EXTENDED, at::FRAMING_DISCOVERY) => {
            decode_discovery(packet, cid).map(SacnPacket::Discovery)
        }
        (at::ROOT_DATA | at::ROOT_EXTENDED, vector) => Err(SacnDecodeError::FramingVector(vector)),
        (vector, _) => Err(SacnDecodeError::RootVector(vector)),
    }
}

fn decode_data(packet: &[u8], cid: SacnCid) -> Result<SacnData<'_>, SacnDecodeError> {
    let packet = layer(packet, at::DMP_LENGTH)?;
    let options: u8 = byte(packet, at::OPTIONS)?;
    let universe = u16::from_be_bytes(array(packet, at::UNIVERSE)?);
    if array(packet, at::DMP_FIXED)? != at::DMP_FIXED_VALUES {
        return Err(SacnDecodeError::Dmp);
    }
    let count = u16::from_be_bytes(array(packet, at::PROPERTY_COUNT)?);
    if count == 0 || usize::from(count) > at::SLOTS_LIMIT + 1 {
        return Err(SacnDecodeError::PropertyCount(count));
    }
    let values = packet.get(at::START_CODE..at::START_CODE + usize::from(count));
    let (start_code, slots) = values.and_then(<[u8]>::split_first).ok_or(SacnDecodeError::Length)?;
    if universe == 0 || universe > UNIVERSE_LIMIT {
        return Err(SacnDecodeError::Universe(universe));
    }
    Ok(SacnData {
        cid,
        source_name: source_name(packet)?,
        priority: byte(packet, at::PRIORITY)?,
        sync_address: u16::from_be_bytes(array(packet, at::SYNC_ADDRESS)?),
        sequence: byte(packet, at::SEQUENCE)?,
        is_preview: options & at::PREVIEW != 0,
        is_terminated: options & at::TERMINATED != 0,
        forces_sync: options & at::FORCE_SYNC != 0,
        universe,
        start_code: *start_code,
        slots,
    })
}

fn decode_sync(packet: &[u8], cid: SacnCid) -> Result<SacnSync, SacnDecodeError> {
    if packet.len() < at::SYNC_PACKET_SIZE {
        return Err(SacnDecodeError::Length);
    }
    let sync_address = u16::from_be_bytes(array(packet, at::SYNC_PACKET_ADDRESS)?);
    if sync_address == 0 || sync_address > UNIVERSE_LIMIT {
        return Err(SacnDecodeError::Universe(sync_address));
    }
    Ok(SacnSync { cid, sequence: byte(packet, at::SYNC_SEQUENCE)?, sync_address })
}

fn decode_discovery(packet: &[u8], cid: SacnCid) -> Result<SacnDiscovery<'_>, SacnDecodeError> {
    let packet = layer(packet, at::DISCOVERY_LENGTH)?;
    let vector = u32::from_be_bytes(array(packet, at::DISCOVERY_VECTOR)?);
    if vector != at::DISCOVERY_UNIVERSE_LIST {
        return Err(SacnDecodeError::DiscoveryVector(vector));
    }
    let list = packet.get(at::UNIVERSE_LIST..).ok_or(SacnDecodeError::Length)?;
    if !list.len().is_multiple_of(2) || list.len() > at::PAGE_LIMIT * 2 {
        return Err(SacnDecodeError::Length);
    }
    Ok(SacnDiscovery {
        cid,
        source_name: source_name(packet)?,
        page: byte(packet, at::PAGE)?,
        last_page: byte(packet, at::LAST_PAGE)?,
        list,
    })
}

/// The packet up to the end of the layer whose flags and length are at `start`.
fn layer(packet: &[u8], start: usize) -> Result<&[u8], SacnDecodeError> {
    let field = u16::from_be_bytes(array(packet, start)?);
    if field & !at::LENGTH_MASK != at::FLAGS {
        return Err(SacnDecodeError::Length);
    }
    packet.get(..start + usize::from(field & at::LENGTH_MASK)).ok_or(SacnDecodeError::Length)
}

fn source_name(packet: &[u8]) -> Result<&[u8], SacnDecodeError> {
    let field = packet.get(at::SOURCE_NAME..at::SOURCE_NAME + at::SOURCE_NAME_SIZE);
    let field = field.ok_or(SacnDecodeError::Length)?;
    Ok(field.split(|byte| *byte == 0).next().unwrap_or_default())
}

fn byte(packet: &[u8], start: usize) -> Result<u8, SacnDecodeError> {
    packet.get(start).copied().ok_or(SacnDecodeError::Length)
}

fn array<const SIZE: usize>(packet: &[u8], start: usize) -> Result<[u8; SIZE], SacnDecodeError> {
    packet.get(start..).and_then(<[u8]>::first_chunk).copied().ok_or(SacnDecodeError::Length)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
