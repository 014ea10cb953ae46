//! Where each field of an E1.31 packet is, in bytes of the datagram, and which values are fixed.
//!
//! Source: ANSI E1.31-2018, tables 4-1 (data), 4-2 (synchronisation), 4-3 (universe discovery) and
//! appendix A (constants). All numbers are big-endian.

/// Preamble size, post-amble size and ACN packet identifier (5.1, 5.2, 5.3). They are the same in
/// every packet.
pub const PREAMBLE: [u8; 16] = *b"\x00\x10\x00\x00ASC-E1.17\0\0\0";

/// Flags and length of the root layer (5.4). A length counts from its own first byte to the end of
/// its layer.
pub const ROOT_LENGTH: usize = 16;
/// Vector of the root layer (5.5).
pub const ROOT_VECTOR: usize = 18;
/// The sender's CID (5.6).
pub const CID: usize = 22;

/// Flags and length of the framing layer (6.1).
pub const FRAMING_LENGTH: usize = 38;
/// Vector of the framing layer (6.2.1, 6.3.1, 6.4.1).
pub const FRAMING_VECTOR: usize = 40;

/// Source name (6.2.2 and 6.4.2): UTF-8, ended by a zero.
pub const SOURCE_NAME: usize = 44;
/// Bytes of the source name with its zero.
pub const SOURCE_NAME_SIZE: usize = 64;
/// Priority (6.2.3).
pub const PRIORITY: usize = 108;
/// Synchronisation address of a data packet (6.2.4).
pub const SYNC_ADDRESS: usize = 109;
/// Sequence number of a data packet (6.2.5).
pub const SEQUENCE: usize = 111;
/// Options (6.2.6).
pub const OPTIONS: usize = 112;
/// Universe (6.2.7).
pub const UNIVERSE: usize = 113;

/// Flags and length of the DMP layer (7.1).
pub const DMP_LENGTH: usize = 115;
/// Vector, address and data type, first property address and address increment of the DMP layer
/// (7.2 to 7.5), which are fixed.
pub const DMP_FIXED: usize = 117;
/// The values of [`DMP_FIXED`].
pub const DMP_FIXED_VALUES: [u8; 6] = [0x02, 0xa1, 0x00, 0x00, 0x00, 0x01];
/// Property value count (7.6): the start code and the slots.
pub const PROPERTY_COUNT: usize = 123;
/// The start code, which is the first property value (7.7).
pub const START_CODE: usize = 125;
/// The first slot.
pub const SLOTS: usize = 126;
/// The most slots of a universe.
pub const SLOTS_LIMIT: usize = 512;

/// Sequence number of a synchronisation packet (6.3.2).
pub const SYNC_SEQUENCE: usize = 44;
/// Synchronisation address of a synchronisation packet (6.3.3).
pub const SYNC_PACKET_ADDRESS: usize = 45;
/// Bytes of a synchronisation packet, whose last two are reserved (6.3.4).
pub const SYNC_PACKET_SIZE: usize = 49;

/// Flags and length of the universe discovery layer (8.1), after four reserved bytes (6.4.3).
pub const DISCOVERY_LENGTH: usize = 112;
/// Vector of the universe discovery layer (8.2).
pub const DISCOVERY_VECTOR: usize = 114;
/// Page (8.3).
pub const PAGE: usize = 118;
/// Last page (8.4).
pub const LAST_PAGE: usize = 119;
/// List of universes (8.5), two bytes each.
pub const UNIVERSE_LIST: usize = 120;
/// The most universes of a page (8.5).
pub const PAGE_LIMIT: usize = 512;

/// `VECTOR_ROOT_E131_DATA`
pub const ROOT_DATA: u32 = 0x0000_0004;
/// `VECTOR_ROOT_E131_EXTENDED`
pub const ROOT_EXTENDED: u32 = 0x0000_0008;
/// `VECTOR_E131_DATA_PACKET`
pub const FRAMING_DATA: u32 = 0x0000_0002;
/// `VECTOR_E131_EXTENDED_SYNCHRONIZATION`
pub const FRAMING_SYNC: u32 = 0x0000_0001;
/// `VECTOR_E131_EXTENDED_DISCOVERY`
pub const FRAMING_DISCOVERY: u32 = 0x0000_0002;
/// `VECTOR_UNIVERSE_DISCOVERY_UNIVERSE_LIST`
pub const DISCOVERY_UNIVERSE_LIST: u32 = 0x0000_0001;

/// The flags of every layer, above a length of 12 bits (5.4, 6.1, 7.1, 8.1).
pub const FLAGS: u16 = 0x7000;
/// The bits of a length.
pub const LENGTH_MASK: u16 = 0x0fff;

/// Options: the data is for visualisation only (6.2.6, bit 7).
pub const PREVIEW: u8 = 0x80;
/// Options: the source ends its stream (6.2.6, bit 6).
pub const TERMINATED: u8 = 0x40;
/// Options: go on unsynchronised when synchronisation is lost (6.2.6, bit 5).
pub const FORCE_SYNC: u8 = 0x20;
