//! Art-Net 4: `ArtDmx`, `ArtSync`, `ArtPoll` and `ArtPollReply`, with the offsets of its packet
//! definitions.

use super::{Datagram, bytes, packet, padded, text, word};
use std::net::Ipv4Addr;

/// The UDP port of Art-Net.
pub const PORT: u16 = 6454;

const ID: &[u8] = b"Art-Net\0";

/// Levels of a universe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dmx {
    /// 1 to 255, or 0 for none.
    pub sequence: u8,
    /// The input of the sender.
    pub physical: u8,
    /// Net (7 bits) and universe (8 bits).
    pub port_address: u16,
    /// The levels.
    pub slots: Vec<u8>,
}

impl Dmx {
    /// The first frame of a source.
    #[must_use]
    pub fn new(port_address: u16, slots: &[u8]) -> Self {
        Self { sequence: 1, physical: 0, port_address, slots: slots.to_vec() }
    }

    /// The packet, after which this is the next frame of the source.
    pub fn next(&mut self, slots: &[u8]) -> Vec<u8> {
        self.slots = slots.to_vec();
        let packet = self.encode();
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        packet
    }

    /// The packet.
    ///
    /// # Panics
    ///
    /// When there are more than 512 slots.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = u16::try_from(self.slots.len()).expect("at most 512 slots");
        packet(&[
            ID,
            &[0x00, 0x50, 0, 14, self.sequence, self.physical],
            &self.port_address.to_le_bytes(),
            &length.to_be_bytes(),
            &self.slots,
        ])
    }

    /// Reads a packet; `None` when anything in it is not as the standard wants it.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let slots = packet.get(18..)?;
        let is_dmx = packet.starts_with(ID)
            && packet.get(8..12)? == [0x00, 0x50, 0, 14]
            && usize::from(word(packet, 16)?) == slots.len()
            && (2..=512).contains(&slots.len())
            && slots.len().is_multiple_of(2);
        is_dmx.then_some(Self {
            sequence: packet[12],
            physical: packet[13],
            port_address: bytes(packet, 14).map(u16::from_le_bytes)?,
            slots: slots.to_vec(),
        })
    }
}

/// Reads a frame of a universe, for a [`Recorder`](super::Recorder).
pub fn of(port_address: u16) -> impl Fn(&Datagram) -> Option<Dmx> {
    move |datagram| Dmx::decode(&datagram.bytes).filter(|dmx| dmx.port_address == port_address)
}

/// Whether this is a poll.
#[must_use]
pub fn is_poll(packet: &[u8]) -> bool {
    packet.starts_with(ID) && packet.get(8..12) == Some(&[0x00, 0x20, 0, 14]) && packet.len() >= 14
}

/// The poll of a controller.
#[must_use]
pub fn poll() -> Vec<u8> {
    packet(&[ID, &[0x00, 0x20, 0, 14, 0x02, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0]])
}

/// Makes nodes act on the frames that they have.
#[must_use]
pub fn sync() -> Vec<u8> {
    packet(&[ID, &[0x00, 0x52, 0, 14, 0, 0]])
}

/// A command of `ArtAddress` for the first page of a node.
#[must_use]
pub fn address(command: u8) -> Vec<u8> {
    packet(&[ID, &[0x00, 0x60, 0, 14, 0x7f, 1], &[0; 90], &[0x7f, 0, command]])
}

/// The command that makes the next sender the only one.
pub const CANCEL_MERGE: u8 = 0x01;

/// The command by which the latest level of two sources counts, for the first port.
pub const MERGE_LTP: u8 = 0x10;

/// The command by which the highest level counts, for the first port.
pub const MERGE_HTP: u8 = 0x50;

/// What a node tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollReply {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Bits 14 to 8 of its port addresses.
    pub net: u8,
    /// Bits 7 to 4.
    pub sub: u8,
    /// Its short name.
    pub short_name: String,
    /// Its long name.
    pub long_name: String,
    /// Its state, for people.
    pub report: String,
    /// How many ports it has in this page.
    pub ports: u16,
    /// Bit 7: can output from the network, bit 6: can input to the network.
    pub port_types: [u8; 4],
    /// Bit 7: data is being output; bit 3: it merges.
    pub good_output: [u8; 4],
    /// Low 4 bits of the universes that go to the network.
    pub inputs: [u8; 4],
    /// Low 4 bits of the universes that come from the network.
    pub outputs: [u8; 4],
    /// The address of the node that this page belongs to.
    pub bind_address: Ipv4Addr,
    /// The number of the page.
    pub bind_index: u8,
    /// Bit 3: 15-bit port addresses.
    pub status2: u8,
}

impl PollReply {
    /// A node that outputs one universe.
    #[must_use]
    pub fn of_node(address: Ipv4Addr, port_address: u16) -> Self {
        let [net, universe] = port_address.to_be_bytes();
        Self {
            address,
            port: PORT,
            net,
            sub: universe >> 4,
            short_name: "test node".into(),
            long_name: "a node of the tests".into(),
            report: "#0001 [0001] fine".into(),
            ports: 1,
            port_types: [0x80, 0, 0, 0],
            good_output: [0; 4],
            inputs: [0; 4],
            outputs: [universe & 15, 0, 0, 0],
            bind_address: address,
            bind_index: 1,
            status2: 0x08,
        }
    }

    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let packet = packet(&[
            ID,
            &[0x00, 0x21],
            &self.address.octets(),
            &self.port.to_le_bytes(),
            &[0, 1, self.net, self.sub, 0x00, 0xff, 0, 0xd0, 0, 0],
            &padded(&self.short_name, 18),
            &padded(&self.long_name, 64),
            &padded(&self.report, 64),
            &self.ports.to_be_bytes(),
            &self.port_types,
            &[0; 4],
            &self.good_output,
            &self.inputs,
            &self.outputs,
            &[0; 7],
            &[2, 10, 77, 0, 0, 9],
            &self.bind_address.octets(),
            &[self.bind_index, self.status2],
            &[0; 26],
        ]);
        assert_eq!(packet.len(), 239, "the length of Art-Net 4");
        packet
    }

    /// Reads a packet of at least the length that Art-Net 4 has had from its start.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let is_reply = packet.starts_with(ID) && packet.get(8..10)? == [0x00, 0x21] && packet.len() >= 213;
        if !is_reply {
            return None;
        }
        Some(Self {
            address: bytes::<4>(packet, 10)?.into(),
            port: bytes(packet, 14).map(u16::from_le_bytes)?,
            net: packet[18],
            sub: packet[19],
            short_name: text(&packet[26..44]),
            long_name: text(&packet[44..108]),
            report: text(&packet[108..172]),
            ports: word(packet, 172)?,
            port_types: bytes(packet, 174)?,
            good_output: bytes(packet, 182)?,
            inputs: bytes(packet, 186)?,
            outputs: bytes(packet, 190)?,
            bind_address: bytes::<4>(packet, 207)?.into(),
            bind_index: packet[211],
            status2: packet[212],
        })
    }

    /// The universes that the node outputs, as port addresses.
    pub fn port_addresses(&self) -> impl Iterator<Item = u16> + '_ {
        let base = u16::from_be_bytes([self.net & 0x7f, self.sub << 4]);
        let is_output = |(kind, _): &(&u8, &u8)| **kind & 0x80 != 0;
        let ports = self.port_types.iter().zip(&self.outputs).take(usize::from(self.ports));
        ports.filter(is_output).map(move |(_, low)| base | u16::from(low & 15))
    }
}

#[cfg(test)]
mod tests {
    use super::{Dmx, PollReply};
    use std::net::Ipv4Addr;

    #[test]
    fn what_is_encoded_is_decoded() {
        let dmx = Dmx::new(0x7fff, &[1, 2]);
        assert_eq!(dmx.encode()[8..], [0, 0x50, 0, 14, 1, 0, 0xff, 0x7f, 0, 2, 1, 2]);
        assert_eq!(Dmx::decode(&dmx.encode()), Some(dmx));
        let reply = PollReply::of_node(Ipv4Addr::new(10, 77, 0, 3), 0x123);
        assert_eq!(PollReply::decode(&reply.encode()), Some(reply.clone()));
        assert_eq!(reply.port_addresses().collect::<Vec<_>>(), [0x123]);
    }
}
