//! sACN (ANSI E1.31-2018): data packets (table 4-1), universe discovery (table 4-3) and
//! synchronization (table 4-2).

use super::{Datagram, bytes, packet, padded, text, word};
use std::net::{Ipv4Addr, SocketAddrV4};

/// The UDP port of ACN.
pub const PORT: u16 = 5568;

/// Option bit 7: not for live output (6.2.6).
pub const PREVIEW: u8 = 0x80;

/// Option bit 6: the source ends this universe (6.2.6).
pub const TERMINATED: u8 = 0x40;

/// The universe of discovery packets (appendix A).
pub const DISCOVERY: u16 = 64214;

const PREAMBLE: &[u8] = b"\x00\x10\x00\x00ASC-E1.17\x00\x00\x00";

/// The group of a universe (9.3.1).
#[must_use]
pub fn group(universe: u16) -> Ipv4Addr {
    let [high, low] = universe.to_be_bytes();
    Ipv4Addr::new(239, 255, high, low)
}

/// The same with the port.
#[must_use]
pub fn destination(universe: u16) -> SocketAddrV4 {
    SocketAddrV4::new(group(universe), PORT)
}

/// A data packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Who sends.
    pub cid: [u8; 16],
    /// The same for people, 63 bytes at most.
    pub name: String,
    /// 0 to 200.
    pub priority: u8,
    /// The universe of the packets that synchronize, or 0.
    pub sync: u16,
    /// Counts up for each packet of a universe.
    pub sequence: u8,
    /// [`PREVIEW`], [`TERMINATED`] and bit 5, force synchronization.
    pub options: u8,
    /// 1 to 63999.
    pub universe: u16,
    /// 0 for levels.
    pub start_code: u8,
    /// The levels.
    pub slots: Vec<u8>,
}

impl Frame {
    /// The first frame of a source with this CID, of priority 100.
    #[must_use]
    pub fn new(cid: u8, universe: u16, slots: &[u8]) -> Self {
        Self {
            cid: [cid; 16],
            name: format!("source {cid}"),
            priority: 100,
            sync: 0,
            sequence: 0,
            options: 0,
            universe,
            start_code: 0,
            slots: slots.to_vec(),
        }
    }

    /// The packet, after which this is the next frame of the source.
    pub fn next(&mut self, slots: &[u8]) -> Vec<u8> {
        self.slots = slots.to_vec();
        let packet = self.encode();
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    /// The packet.
    ///
    /// # Panics
    ///
    /// When there are more than 512 slots.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let count = u16::try_from(self.slots.len() + 1).expect("at most 512 slots");
        packet(&[
            PREAMBLE,
            &flags_and_length(109 + count),
            &[0, 0, 0, 4],
            &self.cid,
            &flags_and_length(87 + count),
            &[0, 0, 0, 2],
            &padded(&self.name, 64),
            &[self.priority],
            &self.sync.to_be_bytes(),
            &[self.sequence, self.options],
            &self.universe.to_be_bytes(),
            &flags_and_length(10 + count),
            &[0x02, 0xa1, 0, 0, 0, 1],
            &count.to_be_bytes(),
            &[self.start_code],
            &self.slots,
        ])
    }

    /// Reads a packet; `None` when anything in it is not as the standard wants it.
    #[must_use]
    pub fn decode(bytes_of: &[u8]) -> Option<Self> {
        let all = u16::try_from(bytes_of.len()).ok()?;
        let fixed = bytes_of.starts_with(PREAMBLE)
            && bytes_of.get(16..18)? == flags_and_length(all.checked_sub(16)?)
            && bytes_of.get(18..22)? == [0, 0, 0, 4]
            && bytes_of.get(38..40)? == flags_and_length(all.checked_sub(38)?)
            && bytes_of.get(40..44)? == [0, 0, 0, 2]
            && bytes_of.get(115..117)? == flags_and_length(all.checked_sub(115)?)
            && bytes_of.get(117..123)? == [0x02, 0xa1, 0, 0, 0, 1]
            && word(bytes_of, 123)? == all.checked_sub(125)?;
        fixed.then_some(Self {
            cid: bytes(bytes_of, 22)?,
            name: text(bytes_of.get(44..108)?),
            priority: *bytes_of.get(108)?,
            sync: word(bytes_of, 109)?,
            sequence: *bytes_of.get(111)?,
            options: *bytes_of.get(112)?,
            universe: word(bytes_of, 113)?,
            start_code: *bytes_of.get(125)?,
            slots: bytes_of.get(126..)?.to_vec(),
        })
    }
}

/// Reads a frame of a universe, for a [`Recorder`](super::Recorder).
pub fn of(universe: u16) -> impl Fn(&Datagram) -> Option<Frame> {
    move |datagram| Frame::decode(&datagram.bytes).filter(|frame| frame.universe == universe)
}

/// A packet that makes receivers act on frames with this synchronization address.
#[must_use]
pub fn synchronization(cid: u8, sequence: u8, address: u16) -> Vec<u8> {
    packet(&[
        PREAMBLE,
        &flags_and_length(33),
        &[0, 0, 0, 8],
        &[cid; 16],
        &flags_and_length(11),
        &[0, 0, 0, 1],
        &[sequence],
        &address.to_be_bytes(),
        &[0, 0],
    ])
}

/// One page of the list of universes that a source sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryPage {
    /// Who sends.
    pub cid: [u8; 16],
    /// The same for people.
    pub name: String,
    /// From 0.
    pub page: u8,
    /// The number of the last page.
    pub last: u8,
    /// At most 512.
    pub universes: Vec<u16>,
}

impl DiscoveryPage {
    /// Reads a packet; `None` when anything in it is not as the standard wants it.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let all = u16::try_from(packet.len()).ok()?;
        let list = packet.get(120..)?;
        let fixed = packet.starts_with(PREAMBLE)
            && packet.get(16..18)? == flags_and_length(all.checked_sub(16)?)
            && packet.get(18..22)? == [0, 0, 0, 8]
            && packet.get(38..40)? == flags_and_length(all.checked_sub(38)?)
            && packet.get(40..44)? == [0, 0, 0, 2]
            && packet.get(112..114)? == flags_and_length(all.checked_sub(112)?)
            && packet.get(114..118)? == [0, 0, 0, 1]
            && list.len().is_multiple_of(2);
        fixed.then_some(Self {
            cid: bytes(packet, 22)?,
            name: text(packet.get(44..108)?),
            page: packet[118],
            last: packet[119],
            universes: list.chunks(2).filter_map(|pair| word(pair, 0)).collect(),
        })
    }
}

/// A length with the flags that ACN has before it (E1.17, 2.2).
fn flags_and_length(length: u16) -> [u8; 2] {
    (0x7000 | length).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_full_frame_has_the_lengths_of_table_4_1() {
        let mut frame = Frame::new(7, 0x1234, &[1; 512]);
        frame.sequence = 9;
        let packet = frame.encode();
        assert_eq!(packet.len(), 638);
        assert_eq!(packet[16..18], [0x72, 0x6e]);
        assert_eq!(packet[38..40], [0x72, 0x58]);
        assert_eq!(packet[115..117], [0x72, 0x0b]);
        assert_eq!(packet[123..125], [2, 1]);
        assert_eq!(Frame::decode(&packet), Some(frame));
        assert_eq!(Frame::decode(&packet[..637]), None);
    }
}
