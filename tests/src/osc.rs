//! An OSC peer: as much of OSC 1.0 as the tests need, written apart from the program's own codec.

use crate::wait::PATIENCE;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

pub use Argument::{D, F, H, I};

/// A parameter of a message.
#[derive(Debug, Clone, Copy)]
pub enum Argument {
    /// 32-bit integer.
    I(i32),
    /// 32-bit float.
    F(f32),
    /// 64-bit integer.
    H(i64),
    /// 64-bit float.
    D(f64),
}

impl PartialEq for Argument {
    /// Floats are equal when they differ by no more than the arithmetic of ranges may make them.
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (I(one), I(two)) => one == two,
            (H(one), H(two)) => one == two,
            (F(one), F(two)) => (one - two).abs() < 1e-5,
            (D(one), D(two)) => (one - two).abs() < 1e-9,
            _ => false,
        }
    }
}

/// A message as it was received.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its address pattern.
    pub path: String,
    /// Its parameters.
    pub arguments: Vec<Argument>,
}

/// A message as bytes.
#[must_use]
pub fn encode(path: &str, arguments: &[Argument]) -> Vec<u8> {
    let mut bytes = padded(path.as_bytes());
    let tags: String = arguments.iter().map(|argument| tag(*argument)).collect();
    bytes.extend(padded(format!(",{tags}").as_bytes()));
    for argument in arguments {
        match *argument {
            I(value) => bytes.extend(value.to_be_bytes()),
            F(value) => bytes.extend(value.to_be_bytes()),
            H(value) => bytes.extend(value.to_be_bytes()),
            D(value) => bytes.extend(value.to_be_bytes()),
        }
    }
    bytes
}

/// Elements, which are messages or bundles themselves, as one bundle to be acted on at once.
#[must_use]
pub fn bundle(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"#bundle\0\0\0\0\0\0\0\0\x01".to_vec();
    for element in elements {
        let size = u32::try_from(element.len()).expect("elements of a packet are small");
        bytes.extend(size.to_be_bytes());
        bytes.extend(element);
    }
    bytes
}

/// Reads a message; `None` when it is not one.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Message> {
    let (path, rest) = text(bytes)?;
    let (tags, mut rest) = text(rest)?;
    let mut arguments = Vec::new();
    for tag in tags.strip_prefix(',')?.chars() {
        let (argument, size) = match tag {
            'i' => (I(i32::from_be_bytes(rest.get(..4)?.try_into().ok()?)), 4),
            'f' => (F(f32::from_be_bytes(rest.get(..4)?.try_into().ok()?)), 4),
            'h' => (H(i64::from_be_bytes(rest.get(..8)?.try_into().ok()?)), 8),
            'd' => (D(f64::from_be_bytes(rest.get(..8)?.try_into().ok()?)), 8),
            _ => return None,
        };
        arguments.push(argument);
        rest = &rest[size..];
    }
    Some(Message { path, arguments })
}

fn tag(argument: Argument) -> char {
    match argument {
        I(_) => 'i',
        F(_) => 'f',
        H(_) => 'h',
        D(_) => 'd',
    }
}

fn padded(text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    bytes.resize((text.len() / 4 + 1) * 4, 0);
    bytes
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = String::from_utf8(bytes[..end].to_vec()).ok()?;
    Some((text, bytes.get((end / 4 + 1) * 4..)?))
}

/// The far end of a show: sends to its port and receives what it sends.
#[derive(Debug)]
pub struct Peer {
    socket: UdpSocket,
    show: SocketAddr,
}

impl Peer {
    /// Listens at `here`, and sends to `show`.
    ///
    /// # Panics
    ///
    /// When the address is taken.
    #[must_use]
    pub fn new(here: SocketAddr, show: SocketAddr) -> Self {
        let socket = UdpSocket::bind(here).expect("the address of a test is its own");
        Self { socket, show }
    }

    /// Sends one message.
    ///
    /// # Panics
    ///
    /// When the network refuses.
    pub fn send(&self, path: &str, arguments: &[Argument]) {
        self.send_raw(&encode(path, arguments));
    }

    /// Sends any bytes.
    ///
    /// # Panics
    ///
    /// When the network refuses.
    pub fn send_raw(&self, packet: &[u8]) {
        match self.socket.send_to(packet, self.show) {
            Ok(_) => {}
            // The kernel reports here that an earlier packet was refused.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("sending to {}: {error}", self.show),
        }
    }

    /// The next message.
    ///
    /// # Panics
    ///
    /// When none comes in time, or a packet is not a message.
    #[must_use]
    pub fn receive(&self) -> Message {
        self.receive_within(PATIENCE).expect("no message came in time")
    }

    /// The next message, if one comes in time.
    #[must_use]
    pub fn receive_within(&self, time: Duration) -> Option<Message> {
        let mut packet = [0; 65536];
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1)))).expect("a time above zero");
        let count = self.socket.recv(&mut packet).ok()?;
        let message = decode(&packet[..count]);
        assert!(message.is_some(), "not a message: {:?}", &packet[..count]);
        message
    }

    /// Passes over all messages that have come, so that there is room for others.
    pub fn skip(&self) {
        while self.receive_within(Duration::ZERO).is_some() {}
    }

    /// Waits for exactly this message; others are passed over.
    ///
    /// # Panics
    ///
    /// When it does not come in time.
    pub fn expect(&self, path: &str, arguments: &[Argument]) {
        let wanted = Message { path: path.into(), arguments: arguments.to_vec() };
        let (start, mut others) = (Instant::now(), Vec::new());
        while let Some(message) = self.receive_within(PATIENCE.saturating_sub(start.elapsed())) {
            if message == wanted {
                return;
            }
            others.push(message);
        }
        panic!("{wanted:?} did not come, but {others:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::{D, F, H, I, Message, bundle, decode, encode};

    #[test]
    fn messages_are_laid_out_as_osc_wants_them() {
        let expected = b"/a\0\0,if\0\0\0\0\x07\x3f\0\0\0";
        assert_eq!(encode("/a", &[I(7), F(0.5)]), expected);
        assert_eq!(bundle(&[encode("/a", &[])]), b"#bundle\0\0\0\0\0\0\0\0\x01\0\0\0\x08/a\0\0,\0\0\0");
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let arguments = vec![I(-1), F(0.25), H(1 << 40), D(0.1)];
        let message = decode(&encode("/some/path", &arguments));
        assert_eq!(message, Some(Message { path: "/some/path".into(), arguments }));
        assert_eq!(decode(b"/a\0\0,f\0\0\0"), None);
    }
}
