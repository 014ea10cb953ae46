//! Peers of the DMX backends, written apart from the program's own codecs, as the standards have
//! the packets.

pub mod artnet;
pub mod capture;
pub mod ola;
pub mod port;
pub mod recorder;
pub mod sacn;

pub use capture::Capture;
pub use ola::Ola;
pub use port::{Datagram, DmxPort};
pub use recorder::Recorder;

/// A packet of fields that stand one after the other.
fn packet(fields: &[&[u8]]) -> Vec<u8> {
    fields.concat()
}

/// The text up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A text in a field of fixed length.
fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, 0);
    bytes
}

/// The bytes `at..at + N`.
fn bytes<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at + N)?.try_into().ok()
}

/// A number of two bytes, the high one first.
fn word(packet: &[u8], at: usize) -> Option<u16> {
    bytes(packet, at).map(u16::from_be_bytes)
}
