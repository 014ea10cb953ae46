//! OSC packets: bytes of a peer to messages and arguments, and messages with changing arguments to
//! bytes.
//!
//! Incoming bytes are hostile, so they are read in place. Reading a message allocates nothing.
//! Bundles may be nested as deep as a datagram allows, without a call for each level: `rosc`
//! decodes recursively, and one datagram could make it overflow the stack. What does not follow the
//! format is an [`OscDecodeError`]. `rosc` lays out an outgoing message once for each path; sending
//! patches the arguments in.
//!
//! Source of the format: the Open Sound Control 1.0 specification.

use super::range::{OscArgument, OscNumber};
use rosc::{OscMessage, OscPacket, OscType};

/// The most bytes that fit into a UDP datagram over IPv4.
pub const MAX_DATAGRAM: usize = 65507;

const BUNDLE: &[u8] = b"#bundle\0";
/// `#bundle`, then a time tag, which is ignored: events are routed when they arrive.
const BUNDLE_HEADER: usize = 16;

/// Why a packet cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OscDecodeError {
    #[error("the address does not begin with `/`")]
    Address,
    #[error("a string has no end")]
    String,
    #[error("the type tag `{}` is unknown", .0.escape_ascii())]
    UnknownType(u8),
    #[error("the arguments end early")]
    Arguments,
    #[error("the brackets of an array do not pair up")]
    Array,
    #[error("an element of a bundle is larger than the bundle")]
    Element,
}

/// A message in the bytes of its datagram.
#[derive(Debug, Clone, Copy)]
pub struct IncomingMessage<'a> {
    pub address: &'a [u8],
    /// The type tags without the comma. `None`: the sender is older than them, so what the
    /// arguments are is not known (OSC 1.0, "OSC Type Tag String").
    tags: Option<&'a [u8]>,
    data: &'a [u8],
}

/// Calls `each` with each message of a packet in order, also with those of nested bundles.
///
/// `open_ends` is scratch memory, which the caller keeps between two calls.
///
/// # Errors
///
/// The sizes in a bundle contradict each other. `each` has had the messages before that place.
pub fn each_message<'a>(
    packet: &'a [u8],
    open_ends: &mut Vec<usize>,
    mut each: impl FnMut(&'a [u8]),
) -> Result<(), OscDecodeError> {
    if !is_bundle(packet) {
        each(packet);
        return Ok(());
    }
    open_ends.clear();
    open_ends.push(packet.len());
    let mut at = BUNDLE_HEADER;
    while let Some(&end) = open_ends.last() {
        let mut rest = packet.get(at..end).ok_or(OscDecodeError::Element)?;
        if rest.is_empty() {
            open_ends.pop();
            continue;
        }
        let size = u32::from_be_bytes(take(&mut rest).ok_or(OscDecodeError::Element)?);
        let element = rest.get(..size as usize).ok_or(OscDecodeError::Element)?;
        at += size_of_val(&size);
        if is_bundle(element) {
            open_ends.push(at + element.len());
            at += BUNDLE_HEADER;
        } else {
            each(element);
            at += element.len();
        }
    }
    Ok(())
}

fn is_bundle(packet: &[u8]) -> bool {
    packet.len() >= BUNDLE_HEADER && packet.starts_with(BUNDLE)
}

impl<'a> IncomingMessage<'a> {
    /// Reads the address and the type tags.
    pub fn read(bytes: &'a [u8]) -> Result<Self, OscDecodeError> {
        if bytes.first() != Some(&b'/') {
            return Err(OscDecodeError::Address);
        }
        let mut data = bytes;
        let address = take_string(&mut data).ok_or(OscDecodeError::String)?;
        if data.first() != Some(&b',') {
            return Ok(Self { address, tags: None, data });
        }
        let tags = take_string(&mut data).ok_or(OscDecodeError::String)?;
        Ok(Self { address, tags: tags.strip_prefix(b","), data })
    }

    /// Whether the message has type tags.
    pub fn has_tags(&self) -> bool {
        self.tags.is_some()
    }

    /// The type tags as printable text.
    pub fn tags(&self) -> impl std::fmt::Display {
        self.tags.unwrap_or_default().escape_ascii()
    }

    /// Reads all arguments into `arguments`, in place of what it holds. Elements of arrays count
    /// one by one. A message without type tags has none that can be read.
    pub fn read_arguments(&self, arguments: &mut Vec<OscArgument>) -> Result<(), OscDecodeError> {
        arguments.clear();
        let mut data = self.data;
        let mut open_arrays = 0_usize;
        for &tag in self.tags.unwrap_or_default() {
            match tag {
                b'[' => open_arrays += 1,
                b']' => open_arrays = open_arrays.checked_sub(1).ok_or(OscDecodeError::Array)?,
                _ => arguments.push(take_argument(tag, &mut data)?),
            }
        }
        if open_arrays == 0 { Ok(()) } else { Err(OscDecodeError::Array) }
    }
}

fn take_argument(tag: u8, data: &mut &[u8]) -> Result<OscArgument, OscDecodeError> {
    let argument = match tag {
        b'i' => take(data).map(|bytes| number(OscNumber::Int(i32::from_be_bytes(bytes)))),
        b'f' => take(data).map(|bytes| number(OscNumber::Float(f32::from_be_bytes(bytes)))),
        b'h' => take(data).map(|bytes| number(OscNumber::Long(i64::from_be_bytes(bytes)))),
        b'd' => take(data).map(|bytes| number(OscNumber::Double(f64::from_be_bytes(bytes)))),
        b'T' => Some(OscArgument::Switch(true)),
        b'F' => Some(OscArgument::Switch(false)),
        b'N' | b'I' => Some(OscArgument::Other),
        b's' | b'S' => take_string(data).map(|_| OscArgument::Other),
        b'b' => take_blob(data).map(|()| OscArgument::Other),
        b'c' | b'r' | b'm' => take::<4>(data).map(|_| OscArgument::Other),
        b't' => take::<8>(data).map(|_| OscArgument::Other),
        unknown => return Err(OscDecodeError::UnknownType(unknown)),
    };
    argument.ok_or(OscDecodeError::Arguments)
}

fn number(number: OscNumber) -> OscArgument {
    OscArgument::Number(number)
}

fn take<const N: usize>(data: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = data.split_first_chunk()?;
    *data = rest;
    Some(*bytes)
}

/// A string ends with one to four zero bytes, which make its length a multiple of four.
fn take_string<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = data.iter().position(|&byte| byte == 0)?;
    let string = data.get(..length)?;
    *data = data.get((length / 4 + 1) * 4..)?;
    Some(string)
}

fn take_blob(data: &mut &[u8]) -> Option<()> {
    let size = u32::from_be_bytes(take(data)?) as usize;
    *data = data.get(size.checked_next_multiple_of(4)?..)?;
    Some(())
}

/// A message that is sent many times with changing arguments.
#[derive(Debug, Clone)]
pub struct OutgoingMessage {
    bytes: Vec<u8>,
    /// The offset of each argument.
    offsets: Box<[u32]>,
}

impl OutgoingMessage {
    pub fn new(address: &str, arguments: impl IntoIterator<Item = OscNumber>) -> Self {
        let args: Vec<_> = arguments.into_iter().map(to_rosc).collect();
        let sizes: Vec<_> = args.iter().map(size).collect();
        let mut bytes = Vec::new();
        let packet = OscPacket::Message(OscMessage { addr: address.to_string(), args });
        let Ok(_) = rosc::encoder::encode_into(&packet, &mut bytes);
        let mut next = bytes.len() - sizes.iter().sum::<usize>();
        let offsets = sizes.iter().map(|size| {
            next += size;
            (next - size) as u32
        });
        Self { offsets: offsets.collect(), bytes }
    }

    /// Replaces an argument by another of the same type. Returns whether the message has changed.
    pub fn set(&mut self, parameter: u32, number: OscNumber) -> bool {
        match number {
            OscNumber::Int(value) => self.patch(parameter, value.to_be_bytes()),
            OscNumber::Float(value) => self.patch(parameter, value.to_be_bytes()),
            OscNumber::Long(value) => self.patch(parameter, value.to_be_bytes()),
            OscNumber::Double(value) => self.patch(parameter, value.to_be_bytes()),
        }
    }

    fn patch<const N: usize>(&mut self, parameter: u32, number: [u8; N]) -> bool {
        let Some(&offset) = self.offsets.get(parameter as usize) else { return false };
        let rest = self.bytes.get_mut(offset as usize..).unwrap_or_default();
        match rest.first_chunk_mut::<N>() {
            Some(place) if *place != number => {
                *place = number;
                true
            }
            _ => false,
        }
    }

    /// The datagram.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn to_rosc(number: OscNumber) -> OscType {
    match number {
        OscNumber::Int(value) => OscType::Int(value),
        OscNumber::Float(value) => OscType::Float(value),
        OscNumber::Long(value) => OscType::Long(value),
        OscNumber::Double(value) => OscType::Double(value),
    }
}

fn size(argument: &OscType) -> usize {
    match argument {
        OscType::Long(_) | OscType::Double(_) => 8,
        _ => 4,
    }
}

/// The arguments of a message as text, each with its type tag. `None`: the message has arrays or is
/// malformed.
///
/// For the log only: `rosc` allocates, and it would recurse as deep as the arrays are nested.
pub fn describe_arguments(bytes: &[u8], message: &IncomingMessage<'_>) -> Option<Vec<String>> {
    if message.tags?.contains(&b'[') {
        return None;
    }
    match rosc::decoder::decode_udp(bytes) {
        Ok((_, OscPacket::Message(message))) => Some(message.args.iter().map(describe).collect()),
        _ => None,
    }
}

fn describe(argument: &OscType) -> String {
    match argument {
        OscType::Int(value) => format!("{value} (i)"),
        OscType::Float(value) => format!("{value:?} (f)"),
        OscType::Long(value) => format!("{value} (h)"),
        OscType::Double(value) => format!("{value:?} (d)"),
        OscType::Bool(value) => format!("{value} ({})", if *value { 'T' } else { 'F' }),
        OscType::String(text) => format!("{text:?} (s)"),
        OscType::Blob(bytes) => format!("{} bytes (b)", bytes.len()),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests;
