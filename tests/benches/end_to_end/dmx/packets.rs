//! The packets on both ends: E1.31 data in, ArtDmx out.

/// Slots of a universe.
pub const SLOTS: usize = 512;
/// The length of an E1.31 data packet with all slots.
pub const SACN_LENGTH: usize = 126 + SLOTS;
const SEQUENCE: usize = 111;
const UNIVERSE: usize = 113;
const LEVELS: usize = 126;

/// An E1.31 data packet (ANSI E1.31-2018, 4 to 7) of one source with all levels at 0.
pub fn sacn(universe: usize, source: u8) -> [u8; SACN_LENGTH] {
    let mut packet = [0; SACN_LENGTH];
    let mut put = |at: usize, bytes: &[u8]| packet[at..at + bytes.len()].copy_from_slice(bytes);
    let length = |from: usize| (0x7000 | (SACN_LENGTH - from) as u16).to_be_bytes();
    put(0, &[0, 0x10, 0, 0]);
    put(4, b"ASC-E1.17\0\0\0");
    put(16, &length(16));
    put(18, &4_u32.to_be_bytes());
    put(22, &[source; 16]);
    put(38, &length(38));
    put(40, &2_u32.to_be_bytes());
    put(44, b"generator");
    put(108, &[100]);
    put(UNIVERSE, &(universe as u16).to_be_bytes());
    put(115, &length(115));
    put(117, &[2, 0xa1, 0, 0, 0, 1]);
    put(123, &(SLOTS as u16 + 1).to_be_bytes());
    packet
}

/// Fills in the levels and the sequence of frame `number`, where `changing` slots change with each.
pub fn fill(packet: &mut [u8; SACN_LENGTH], number: u16, changing: usize) {
    packet[SEQUENCE] = number as u8;
    for (slot, level) in packet[LEVELS..LEVELS + changing].iter_mut().enumerate() {
        *level = level_of(number, slot);
    }
}

/// The level of a slot in frame `number`: the number, then a fade.
fn level_of(number: u16, slot: usize) -> u8 {
    match slot {
        0 => (number >> 8) as u8,
        1 => number as u8,
        _ => (usize::from(number) + slot) as u8,
    }
}

/// The universe, the number of the frame, and whether the frame is whole: all its slots are those
/// of that number.
pub fn read_art_dmx(packet: &[u8], changing: usize) -> Option<(usize, u16, bool)> {
    let levels = packet.strip_prefix(b"Art-Net\0\0\x50".as_slice()).and_then(|_| packet.get(18..))?;
    let universe = usize::from(u16::from_le_bytes([*packet.get(14)?, *packet.get(15)?]));
    let number = u16::from_be_bytes([*levels.first()?, *levels.get(1)?]);
    let is_whole =
        levels.iter().take(changing).enumerate().all(|(slot, level)| *level == level_of(number, slot));
    Some((universe, number, is_whole && levels.len() == SLOTS))
}
