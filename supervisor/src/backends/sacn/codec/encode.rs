//! Packets to bytes: a data packet is laid out once per universe, then patched for each frame.

use super::SacnCid;
use super::layout as at;

/// A data packet of one universe. It holds everything but levels, sequence and options already.
#[derive(Debug, Clone)]
pub struct SacnFrame {
    bytes: Box<[u8; at::SLOTS + at::SLOTS_LIMIT]>,
}

/// What can differ from frame to frame beside the levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SacnFrameOptions {
    pub sequence: u8,
    /// The source ends its stream.
    pub is_terminated: bool,
}

impl SacnFrame {
    /// The packet of a universe, not synchronised. Of a longer name only the first 63 bytes are
    /// sent, up to the end of a character.
    #[must_use]
    pub fn new(cid: SacnCid, source_name: &str, universe: u16, priority: u8) -> Self {
        let mut bytes = Box::new([0; at::SLOTS + at::SLOTS_LIMIT]);
        put_root(bytes.as_mut_slice(), at::ROOT_DATA, cid, at::FRAMING_DATA);
        put_name(bytes.as_mut_slice(), source_name);
        bytes[at::PRIORITY] = priority;
        put(bytes.as_mut_slice(), at::UNIVERSE, &universe.to_be_bytes());
        put(bytes.as_mut_slice(), at::DMP_FIXED, &at::DMP_FIXED_VALUES);
        Self { bytes }
    }

    /// The datagram with these levels under the start code 0. Slots beyond the 512th are left out.
    pub fn with_levels(&mut self, levels: &[u8], options: SacnFrameOptions) -> &[u8] {
        let count = levels.len().min(at::SLOTS_LIMIT);
        let bytes = self.bytes.as_mut_slice();
        let end = at::SLOTS + count;
        for start in [at::ROOT_LENGTH, at::FRAMING_LENGTH, at::DMP_LENGTH] {
            put_length(bytes, start, end);
        }
        put(bytes, at::PROPERTY_COUNT, &(count as u16 + 1).to_be_bytes());
        bytes[at::SEQUENCE] = options.sequence;
        bytes[at::OPTIONS] = if options.is_terminated { at::TERMINATED } else { 0 };
        put(bytes, at::SLOTS, &levels[..count]);
        &bytes[..end]
    }
}

/// A synchronisation packet (table 4-2).
#[must_use]
pub fn sync_packet(cid: SacnCid, sequence: u8, sync_address: u16) -> Vec<u8> {
    let mut bytes = vec![0; at::SYNC_PACKET_SIZE];
    put_root(&mut bytes, at::ROOT_EXTENDED, cid, at::FRAMING_SYNC);
    put_length(&mut bytes, at::ROOT_LENGTH, at::SYNC_PACKET_SIZE);
    put_length(&mut bytes, at::FRAMING_LENGTH, at::SYNC_PACKET_SIZE);
    bytes[at::SYNC_SEQUENCE] = sequence;
    put(&mut bytes, at::SYNC_PACKET_ADDRESS, &sync_address.to_be_bytes());
    bytes
}

/// One page of the universes that a source sends (table 4-3). `universes` are those of the page:
/// at most 512, sorted (8.5); further ones are left out.
#[must_use]
pub fn discovery_page(
    cid: SacnCid,
    source_name: &str,
    (page, last_page): (u8, u8),
    universes: &[u16],
) -> Vec<u8> {
    let universes = &universes[..universes.len().min(at::PAGE_LIMIT)];
    let end = at::UNIVERSE_LIST + universes.len() * 2;
    let mut bytes = vec![0; at::UNIVERSE_LIST];
    bytes.reserve_exact(universes.len() * 2);
    bytes.extend(universes.iter().flat_map(|universe| universe.to_be_bytes()));
    put_root(&mut bytes, at::ROOT_EXTENDED, cid, at::FRAMING_DISCOVERY);
    put_name(&mut bytes, source_name);
    for start in [at::ROOT_LENGTH, at::FRAMING_LENGTH, at::DISCOVERY_LENGTH] {
        put_length(&mut bytes, start, end);
    }
    put(&mut bytes, at::DISCOVERY_VECTOR, &at::DISCOVERY_UNIVERSE_LIST.to_be_bytes());
    bytes[at::PAGE] = page;
    bytes[at::LAST_PAGE] = last_page;
    bytes
}

/// Writes what all packets begin with, but the lengths.
fn put_root(bytes: &mut [u8], root_vector: u32, cid: SacnCid, framing_vector: u32) {
    put(bytes, 0, &at::PREAMBLE);
    put(bytes, at::ROOT_VECTOR, &root_vector.to_be_bytes());
    put(bytes, at::CID, &cid.0);
    put(bytes, at::FRAMING_VECTOR, &framing_vector.to_be_bytes());
}

/// Writes the source name, cut at the end of a character so that a zero follows it (6.2.2).
fn put_name(bytes: &mut [u8], name: &str) {
    let mut end = name.len().min(at::SOURCE_NAME_SIZE - 1);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    put(bytes, at::SOURCE_NAME, &name.as_bytes()[..end]);
}

/// Writes flags and length of the layer that begins at `start` and ends at `end`.
fn put_length(bytes: &mut [u8], start: usize, end: usize) {
    let length = (end - start) as u16 & at::LENGTH_MASK;
    put(bytes, start, &(at::FLAGS | length).to_be_bytes());
}

fn put(bytes: &mut [u8], start: usize, value: &[u8]) {
    bytes[start..start + value.len()].copy_from_slice(value);
}
