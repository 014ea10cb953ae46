//! ArtPollReply: what a node is and which universes it has.

use super::{ESTA_MANUFACTURER, ID, OEM, OP_POLL_REPLY, PortAddress, array};
use std::net::Ipv4Addr;

/// The length of the packet in Art-Net 4.
const LENGTH: usize = 239;
/// The length from which on it is accepted; what is missing is 0.
const LEAST_LENGTH: usize = 198;

/// The number of ports that a page can have.
const PORTS: usize = 4;

// Offsets of "ArtPollReply Packet Definition".
const AT_IP: usize = 10;
const AT_PORT: usize = 14;
const AT_VERSION: usize = 16;
const AT_NET: usize = 18;
const AT_SUB_NET: usize = 19;
const AT_OEM: usize = 20;
const AT_STATUS_1: usize = 23;
const AT_ESTA: usize = 24;
const AT_SHORT_NAME: usize = 26;
const AT_LONG_NAME: usize = 44;
const AT_REPORT: usize = 108;
const AT_PORT_COUNT: usize = 172;
const AT_PORT_TYPES: usize = 174;
const AT_GOOD_INPUT: usize = 178;
const AT_GOOD_OUTPUT: usize = 182;
const AT_SW_IN: usize = 186;
const AT_SW_OUT: usize = 190;
const AT_PRIORITY: usize = 194;
const AT_STYLE: usize = 200;
const AT_MAC: usize = 201;
const AT_BIND_IP: usize = 207;
const AT_BIND_INDEX: usize = 211;
const AT_STATUS_2: usize = 212;
const AT_GOOD_OUTPUT_B: usize = 213;
const AT_STATUS_3: usize = 217;
const AT_REFRESH_RATE: usize = 226;

const SHORT_NAME: usize = 18;
const LONG_NAME: usize = 64;
const REPORT: usize = 64;

// PortTypes: DMX512 that comes from the network, and DMX512 that goes onto it.
const PORT_OUTPUTS: u8 = 1 << 7;
const PORT_INPUTS: u8 = 1 << 6;
// GoodInput
const INPUT_HAS_DATA: u8 = 1 << 7;
const INPUT_IS_DISABLED: u8 = 1 << 3;
// GoodOutputA
const OUTPUT_HAS_DATA: u8 = 1 << 7;
const OUTPUT_MERGES: u8 = 1 << 3;
const OUTPUT_IS_LTP: u8 = 1 << 1;
/// GoodOutputB: no RDM; the output follows each ArtDmx (delta), bit 6 clear.
const OUTPUT_WITHOUT_RDM: u8 = 1 << 7;
/// Status1: indicators normal; the addresses are set at the node, not over the network.
const STATUS_1: u8 = 0b1101_0000;
/// Status2: Port-Addresses of 15 bits.
const STATUS_2: u8 = 1 << 3;
/// Status3: what happens when the network data is lost is hold (bits 7 and 6 clear) or zero.
const STATUS_3_ZERO: u8 = 0b01 << 6;
/// The style: StNode, since lists of consoles leave out what is not a node.
const STYLE_NODE: u8 = 0;
/// The sACN priority of a node that converts, which this one does not: the default of E1.31.
const PRIORITY: u8 = 100;
/// The most ArtDmx per second for one universe.
const REFRESH_RATE: u16 = 44;

/// One page of what a node is: up to four ports with universes of the same net and sub-net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtPollReply {
    /// The node's address.
    pub ip: Ipv4Addr,
    /// The UDP port that it listens on, by the standard always 6454.
    pub udp_port: u16,
    /// The version of its program.
    pub version: u16,
    pub short_name: String,
    pub long_name: String,
    /// The state in words, with the count of replies.
    pub report: String,
    pub mac: [u8; 6],
    /// The order of the pages, from 1.
    pub bind_index: u8,
    /// Whether what is lost is set to 0.
    pub fails_to_zero: bool,
    /// Its ports.
    pub ports: Vec<ReplyPort>,
}

/// A port of a node. Directions are the network's: an output puts out what comes from Art-Net.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplyPort {
    /// The universe that it receives from the network.
    pub output: Option<PortAddress>,
    /// The universe that it sends onto the network.
    pub input: Option<PortAddress>,
    /// Whether the output has data.
    pub is_receiving: bool,
    /// Whether the output merges two sources.
    pub is_merging: bool,
    /// Whether the output merges by LTP; else by HTP.
    pub is_ltp: bool,
    /// Whether the input has data.
    pub is_sending: bool,
}

impl ArtPollReply {
    pub(super) fn decode(datagram: &[u8]) -> Option<Self> {
        if datagram.len() < LEAST_LENGTH {
            return None;
        }
        let byte = |at: usize| datagram.get(at).copied().unwrap_or(0);
        Some(Self {
            ip: Ipv4Addr::from(array::<4>(datagram, AT_IP)?),
            udp_port: u16::from_le_bytes(array(datagram, AT_PORT)?),
            version: u16::from_be_bytes(array(datagram, AT_VERSION)?),
            short_name: text(datagram, AT_SHORT_NAME, SHORT_NAME),
            long_name: text(datagram, AT_LONG_NAME, LONG_NAME),
            report: text(datagram, AT_REPORT, REPORT),
            mac: array(datagram, AT_MAC).unwrap_or_default(),
            bind_index: byte(AT_BIND_INDEX),
            fails_to_zero: byte(AT_STATUS_3) & 0b11 << 6 == STATUS_3_ZERO,
            ports: (0..PORTS).filter_map(|port| ReplyPort::decode(datagram, port)).collect(),
        })
    }

    /// Writes the packet over `packet`. Texts that are too long are cut off, and only the first
    /// four ports are written; they must have the net and sub-net of the first.
    pub fn encode(&self, packet: &mut Vec<u8>) {
        packet.clear();
        packet.resize(LENGTH, 0);
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = packet.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, ID);
        put(8, &OP_POLL_REPLY.to_le_bytes());
        put(AT_IP, &self.ip.octets());
        put(AT_PORT, &self.udp_port.to_le_bytes());
        put(AT_VERSION, &self.version.to_be_bytes());
        let address = self.ports.first().and_then(|port| port.output.or(port.input));
        let address = address.unwrap_or(PortAddress::FIRST);
        put(AT_NET, &[address.net()]);
        put(AT_SUB_NET, &[address.sub_net()]);
        put(AT_OEM, &OEM.to_be_bytes());
        put(AT_STATUS_1, &[STATUS_1]);
        put(AT_ESTA, &ESTA_MANUFACTURER.to_le_bytes());
        put(AT_SHORT_NAME, cut(&self.short_name, SHORT_NAME));
        put(AT_LONG_NAME, cut(&self.long_name, LONG_NAME));
        put(AT_REPORT, cut(&self.report, REPORT));
        put(AT_PORT_COUNT, &(self.ports.len().min(PORTS) as u16).to_be_bytes());
        put(AT_PRIORITY, &[PRIORITY]);
        put(AT_STYLE, &[STYLE_NODE]);
        put(AT_MAC, &self.mac);
        put(AT_BIND_IP, &self.ip.octets());
        put(AT_BIND_INDEX, &[self.bind_index]);
        put(AT_STATUS_2, &[STATUS_2]);
        put(AT_STATUS_3, &[if self.fails_to_zero { STATUS_3_ZERO } else { 0 }]);
        put(AT_REFRESH_RATE, &REFRESH_RATE.to_be_bytes());
        for (index, port) in self.ports.iter().take(PORTS).enumerate() {
            port.encode(|at, byte| put(at + index, &[byte]));
        }
    }
}

impl ReplyPort {
    /// `None`: the node does not have this port.
    fn decode(datagram: &[u8], port: usize) -> Option<Self> {
        let byte = |at: usize| datagram.get(at + port).copied().unwrap_or(0);
        let switch = |at: usize| datagram.get(at).copied().unwrap_or(0);
        let kind = byte(AT_PORT_TYPES);
        let address = |at| PortAddress::from_switches(switch(AT_NET), switch(AT_SUB_NET), byte(at));
        let this = Self {
            output: (kind & PORT_OUTPUTS != 0).then(|| address(AT_SW_OUT)),
            input: (kind & PORT_INPUTS != 0).then(|| address(AT_SW_IN)),
            is_receiving: byte(AT_GOOD_OUTPUT) & OUTPUT_HAS_DATA != 0,
            is_merging: byte(AT_GOOD_OUTPUT) & OUTPUT_MERGES != 0,
            is_ltp: byte(AT_GOOD_OUTPUT) & OUTPUT_IS_LTP != 0,
            is_sending: byte(AT_GOOD_INPUT) & INPUT_HAS_DATA != 0,
        };
        (this.output.is_some() || this.input.is_some()).then_some(this)
    }

    fn encode(&self, mut put: impl FnMut(usize, u8)) {
        let flag = |condition: bool, bit: u8| if condition { bit } else { 0 };
        let kind = flag(self.output.is_some(), PORT_OUTPUTS) | flag(self.input.is_some(), PORT_INPUTS);
        put(AT_PORT_TYPES, kind);
        let without_input = flag(self.input.is_none(), INPUT_IS_DISABLED);
        put(AT_GOOD_INPUT, flag(self.is_sending, INPUT_HAS_DATA) | without_input);
        let merging = flag(self.is_merging, OUTPUT_MERGES) | flag(self.is_ltp, OUTPUT_IS_LTP);
        put(AT_GOOD_OUTPUT, flag(self.is_receiving, OUTPUT_HAS_DATA) | merging);
        put(AT_SW_IN, self.input.map_or(0, PortAddress::nibble));
        put(AT_SW_OUT, self.output.map_or(0, PortAddress::nibble));
        put(AT_GOOD_OUTPUT_B, OUTPUT_WITHOUT_RDM);
    }
}

/// A text that ends with a zero or with its field. Bytes that are not UTF-8 are replaced.
fn text(datagram: &[u8], at: usize, length: usize) -> String {
    let field = datagram.get(at..at + length).unwrap_or_default();
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// As much of a text as fits into a field of `length` bytes with the zero at its end.
fn cut(text: &str, length: usize) -> &[u8] {
    let mut end = text.len().min(length - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().as_bytes()
}
