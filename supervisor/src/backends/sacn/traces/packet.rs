//! The packets of a trace: from what a line says to the bytes of a datagram.
//!
//! The bytes are put together here and not by the codec, which is under test as well.

use std::collections::HashMap;

/// Where the parts of a packet begin that lines set (E1.31-2018, tables 4-1 and 4-2).
const PREAMBLE: &[u8; 16] = b"\x00\x10\x00\x00ASC-E1.17\x00\x00\x00";

/// What one line sends, each time that it does.
#[derive(Debug, Clone, Default)]
pub struct PacketLine {
    pub source: String,
    pub kind: String,
    values: Vec<u8>,
    is_preview: bool,
    forces_sync: bool,
    /// `NAME=VALUE`
    fields: HashMap<String, String>,
}

impl PacketLine {
    /// Reads `SOURCE KIND [VALUE] [VALUE*COUNT] [NAME=VALUE] [preview] [force]`.
    pub fn read(words: &[String]) -> Self {
        let mut line = Self { source: words[0].clone(), kind: words[1].clone(), ..Self::default() };
        for word in &words[2..] {
            if let Some((name, value)) = word.split_once('=') {
                line.fields.insert(name.to_owned(), value.to_owned());
            } else if let Some((value, count)) = word.split_once('*') {
                let value: u8 = value.parse().unwrap();
                line.values.extend(vec![value; count.parse().unwrap()]);
            } else {
                match word.as_str() {
                    "preview" => line.is_preview = true,
                    "force" => line.forces_sync = true,
                    value => line.values.push(value.parse().unwrap()),
                }
            }
        }
        line
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.fields.get(name).and_then(|value| value.parse().ok())
    }

    /// The universe of a data packet, or the address of a synchronisation packet.
    pub fn universe(&self, default: u16) -> u16 {
        self.number("universe").unwrap_or(default)
    }

    /// The sequence that the line sets, or the next one after `last`.
    pub fn sequence(&self, last: Option<u8>) -> u8 {
        self.number("seq").unwrap_or_else(|| last.map_or(0, |last| last.wrapping_add(1)))
    }

    /// The bytes of the datagram.
    pub fn bytes(&self, sequence: u8, universe: u16) -> Vec<u8> {
        let mut bytes = if self.kind == "sync" {
            self.sync_packet(sequence, universe)
        } else {
            self.data_packet(sequence, universe)
        };
        if let Some((offset, patch)) = self.fields.get("patch").and_then(|patch| patch.split_once(':')) {
            let offset: usize = offset.parse().unwrap();
            for (index, at) in (0..patch.len()).step_by(2).enumerate() {
                bytes[offset + index] = u8::from_str_radix(&patch[at..at + 2], 16).unwrap();
            }
        }
        bytes.truncate(self.number("cut").unwrap_or(usize::MAX));
        bytes
    }

    fn data_packet(&self, sequence: u8, universe: u16) -> Vec<u8> {
        let start_code = match self.kind.as_str() {
            "levels" | "end" => 0,
            "priorities" => 0xdd,
            "values" => u8::from_str_radix(&self.fields["start"], 16).unwrap(),
            kind => panic!("unknown kind of packet: {kind}"),
        };
        let options = u8::from(self.is_preview) << 7
            | u8::from(self.kind == "end") << 6
            | u8::from(self.forces_sync) << 5;
        let mut framing = vec![0; 64];
        framing[..self.source.len()].copy_from_slice(self.source.as_bytes());
        framing.push(self.number("prio").unwrap_or(100));
        framing.extend(self.number::<u16>("sync").unwrap_or(0).to_be_bytes());
        framing.extend([sequence, options]);
        framing.extend(universe.to_be_bytes());
        let mut dmp = vec![2, 0xa1, 0, 0, 0, 1];
        dmp.extend((self.values.len() as u16 + 1).to_be_bytes());
        dmp.push(start_code);
        dmp.extend(&self.values);
        framing.extend(layer(&[], &dmp));
        self.root(4, &layer(&2_u32.to_be_bytes(), &framing))
    }

    fn sync_packet(&self, sequence: u8, address: u16) -> Vec<u8> {
        let [high, low] = address.to_be_bytes();
        self.root(8, &layer(&1_u32.to_be_bytes(), &[sequence, high, low, 0, 0]))
    }

    fn root(&self, vector: u32, framing: &[u8]) -> Vec<u8> {
        let mut content = cid(&self.source).to_vec();
        content.extend(framing);
        let mut bytes = PREAMBLE.to_vec();
        bytes.extend(layer(&vector.to_be_bytes(), &content));
        bytes
    }
}

/// The CID of a source: its name.
pub fn cid(source: &str) -> [u8; 16] {
    let mut cid = [0; 16];
    cid[..source.len()].copy_from_slice(source.as_bytes());
    cid
}

/// Flags and length, vector, content.
fn layer(vector: &[u8], content: &[u8]) -> Vec<u8> {
    let length = (2 + vector.len() + content.len()) as u16;
    [&(0x7000 | length).to_be_bytes()[..], vector, content].concat()
}
