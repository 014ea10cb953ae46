//! Frames: a value as bytes that can be trusted after they were checked, for boots and for what is
//! kept on disk.
//!
//! | bytes | meaning |
//! |---|---|
//! | 4 | magic: what kind of frame |
//! | 4 | version of that kind, little endian |
//! | 4 | length of the payload, little endian |
//! | 4 | CRC-32 of the twelve bytes before and the payload, little endian |
//! | … | payload: the value in bincode's standard encoding |
//!
//! The checksum finds damage, not intent. Against a payload that is wrong on purpose there is the
//! limit, which bounds what decoding can allocate.

use crc32fast::Hasher;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Bytes before the payload.
pub const HEADER: usize = 16;

/// Most bytes that decoding may claim, whatever the caller's limit: bincode's limit has to be known
/// when it is compiled.
const DECODE_LIMIT: usize = 256 << 20;

/// A kind of frame: four bytes that say what it is, and the version of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The first four bytes of each frame of the kind.
    pub magic: [u8; 4],
    /// The version that is written, and the only one that is read.
    pub version: u32,
}

/// The boot of a worker, see [`crate::control::Boot`].
pub const BOOT: Kind = Kind { magic: *b"MMbt", version: crate::control::PROTOCOL };

/// Most bytes of a boot. A channel takes some 30 bytes, so this is room for more channels than
/// there are numbers for in any protocol.
pub const BOOT_LIMIT: usize = 64 << 20;

/// Why bytes are not the frame that was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Fewer or more bytes than the frame says it has.
    #[error("the frame is {found} bytes long instead of {expected}")]
    Length {
        /// The length in the header; the header's own length if it is not whole.
        expected: u64,
        /// The bytes that there are.
        found: u64,
    },
    /// Not a frame of this kind.
    #[error("the bytes are not a frame of this kind")]
    Magic,
    /// Written by another version.
    #[error("the frame is of version {found}, this is version {expected}")]
    Version {
        /// The version that is read here.
        expected: u32,
        /// The frame's.
        found: u32,
    },
    /// Larger than the caller allows, or than a frame can be.
    #[error("the frame has {found} bytes, more than the {limit} allowed")]
    TooLong {
        /// The most allowed.
        limit: u64,
        /// The payload's length.
        found: u64,
    },
    /// Damaged.
    #[error("the checksum is wrong, the frame is damaged")]
    Checksum,
    /// Undamaged, but not a value of this type.
    #[error("the content cannot be read: {0}")]
    Content(String),
}

/// The frame of a value.
///
/// # Errors
///
/// [`FrameError::TooLong`] for a value of 4 GiB, [`FrameError::Content`] for one that cannot be
/// written.
pub fn encode<T: Serialize>(kind: Kind, value: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER];
    bincode::serde::encode_into_std_write(value, &mut frame, bincode::config::standard())
        .map_err(|error| FrameError::Content(error.to_string()))?;
    let found = (frame.len() - HEADER) as u64;
    let limit = u64::from(u32::MAX);
    let length = u32::try_from(found).map_err(|_| FrameError::TooLong { limit, found })?;
    let (header, payload) = frame.split_at_mut(HEADER);
    let [magic, version, len, checksum] = fields(kind, length, payload);
    header.copy_from_slice(&[magic, version, len, checksum].concat());
    Ok(frame)
}

/// How long the payload is that follows a header, at most `limit` bytes. For frames that come over
/// a stream.
///
/// # Errors
///
/// A [`FrameError`] unless the header is one of this kind and version.
pub fn payload_length(kind: Kind, limit: usize, header: &[u8]) -> Result<usize, FrameError> {
    if header.len() != HEADER {
        return Err(FrameError::Length { expected: HEADER as u64, found: header.len() as u64 });
    }
    let [magic, version, length, _] = words(header);
    known(kind, limit, [magic, version, length])?;
    Ok(length as usize)
}

/// The value of a frame whose payload has at most `limit` bytes.
///
/// # Errors
///
/// A [`FrameError`] unless the bytes are exactly one whole, undamaged frame of this kind and
/// version.
pub fn decode<T: DeserializeOwned>(kind: Kind, limit: usize, frame: &[u8]) -> Result<T, FrameError> {
    let found = frame.len() as u64;
    let short = FrameError::Length { expected: HEADER as u64, found };
    let (header, payload) = frame.split_at_checked(HEADER).ok_or(short)?;
    let [magic, version, length, checksum] = words(header);
    known(kind, limit, [magic, version, length])?;
    if length as usize != payload.len() {
        return Err(FrameError::Length { expected: HEADER as u64 + u64::from(length), found });
    }
    if checksum != u32::from_le_bytes(fields(kind, length, payload)[3]) {
        return Err(FrameError::Checksum);
    }
    content(payload)
}

/// Checks the words of a header that can be checked without the payload.
fn known(kind: Kind, limit: usize, [magic, version, length]: [u32; 3]) -> Result<(), FrameError> {
    if magic != u32::from_le_bytes(kind.magic) {
        return Err(FrameError::Magic);
    }
    if version != kind.version {
        return Err(FrameError::Version { expected: kind.version, found: version });
    }
    if length as usize > limit {
        return Err(FrameError::TooLong { limit: limit as u64, found: u64::from(length) });
    }
    Ok(())
}

fn content<T: DeserializeOwned>(payload: &[u8]) -> Result<T, FrameError> {
    let config = bincode::config::standard().with_limit::<DECODE_LIMIT>();
    let (value, read) = bincode::serde::decode_from_slice(payload, config)
        .map_err(|error| FrameError::Content(error.to_string()))?;
    if read != payload.len() {
        return Err(FrameError::Content(format!("{} bytes are left over", payload.len() - read)));
    }
    Ok(value)
}

/// The header's fields: magic, version, length, checksum.
fn fields(kind: Kind, length: u32, payload: &[u8]) -> [[u8; 4]; 4] {
    let (magic, version, length) = (kind.magic, kind.version.to_le_bytes(), length.to_le_bytes());
    let mut hasher = Hasher::new();
    [&magic[..], &version, &length, payload].into_iter().for_each(|part| hasher.update(part));
    [magic, version, length, hasher.finalize().to_le_bytes()]
}

/// A header's four words; missing bytes would read as zero.
fn words(header: &[u8]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(header.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    words
}
