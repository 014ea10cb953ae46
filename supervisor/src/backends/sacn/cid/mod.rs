//! The CID of the show as a sender: unique on the network, and the same after each start
//! (E1.31-2018 5.6).
//!
//! - `cid` in the show file counts.
//! - Else, with a state file, it is random once and kept beside that file, as `STATE-FILE.cid`.
//! - Else it is made of the machine's id and the show's name. So it is that of no other machine, and
//!   two shows on one machine differ.

mod sha1;

use super::codec::SacnCid;
use crate::state::atomic_file::{self, Content};
use mm_config::options::InvalidValue;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

/// The namespace of the CIDs that are made of a machine and a show.
const NAMESPACE: [u8; 16] = *b"\x3f\x8e\x2a\x51\x6c\x0d\x4b\x97\xa2\x1e\x5d\x84\xc7\x39\xf0\x66";
/// The most bytes of a file with a CID.
const FILE_LIMIT: usize = 256;
/// Where the system keeps its id: systemd, and D-Bus without it.
const MACHINE_ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// A CID, and what keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCid {
    pub cid: SacnCid,
    /// Whether the show file names it.
    pub is_configured: bool,
    /// Where it has to be written to. Nothing is written before the show runs.
    unsaved: Option<PathBuf>,
}

impl OwnCid {
    /// The CID that the show file names.
    pub fn configured(cid: SacnCid) -> Self {
        Self { cid, is_configured: true, unsaved: None }
    }

    /// The CID of a show that names none.
    pub fn of_show(name: &str, state_file: Option<&Path>) -> Self {
        let Some(state_file) = state_file else {
            return Self { cid: derived(&machine_id(), name), is_configured: false, unsaved: None };
        };
        let mut path = state_file.as_os_str().to_owned();
        path.push(".cid");
        let path = PathBuf::from(path);
        let saved = match atomic_file::read(&path, FILE_LIMIT) {
            Ok(Content::Bytes(bytes)) => std::str::from_utf8(&bytes).ok().and_then(|text| parse(text).ok()),
            // It could not be written either.
            Err(_) => return Self { cid: derived(&machine_id(), name), is_configured: false, unsaved: None },
            Ok(Content::Missing | Content::TooLarge(_)) => None,
        };
        match saved {
            Some(cid) => Self { cid, is_configured: false, unsaved: None },
            None => Self { cid: random(), is_configured: false, unsaved: Some(path) },
        }
    }

    /// Writes the CID down if that has to be done, in a thread.
    pub fn save(&self) {
        let Some(path) = self.unsaved.clone() else { return };
        let text = format!("{}\n", self.cid);
        let write = move || {
            if let Err(error) = atomic_file::replace(&path, text.as_bytes()) {
                warn_of(&path, &error);
            }
        };
        if let Err(error) = thread::Builder::new().name("sacn-cid".into()).spawn(write) {
            warn_of(self.unsaved.as_deref().unwrap_or(Path::new("")), &error);
        }
    }
}

fn warn_of(path: &Path, error: &io::Error) {
    tracing::warn!(
        event = "sacn_cid_not_saved",
        path = %path.display(),
        "cannot keep the CID: {error}; it is another one after the next start"
    );
}

/// Reads `UUID` or 16 numbers as the show file has them.
///
/// # Errors
///
/// It is neither. The range is that of the wrong part.
pub fn parse(text: &str) -> Result<SacnCid, InvalidValue> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    if digits.len() == 32
        && let Ok(number) = u128::from_str_radix(&digits, 16)
    {
        return Ok(SacnCid(number.to_be_bytes()));
    }
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let start = word.as_ptr().addr() - text.as_ptr().addr();
        let byte = read_byte(word).ok_or_else(|| InvalidValue {
            range: start..start + word.len(),
            message: "expected a byte, as in `0x7f`".into(),
            hint: None,
        })?;
        bytes.push(byte);
    }
    let count = bytes.len();
    let unit = if count == 1 { "byte" } else { "bytes" };
    let wrong_count =
        |_| InvalidValue::whole(text, format!("expected 16 bytes or a UUID, not {count} {unit}"));
    bytes.try_into().map(SacnCid).map_err(wrong_count)
}

/// A byte as C writes it: hexadecimal after `0x`, octal after `0`, else decimal.
fn read_byte(word: &str) -> Option<u8> {
    let hexadecimal = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let octal = word.strip_prefix('0').filter(|digits| !digits.is_empty());
    match (hexadecimal, octal) {
        (Some(digits), _) => u8::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) => u8::from_str_radix(digits, 8).ok(),
        (None, None) => word.parse().ok(),
    }
}

/// A UUID of version 4 (RFC 9562, 5.4).
fn random() -> SacnCid {
    as_uuid(fastrand::u128(..).to_be_bytes(), 4)
}

/// A UUID of version 5 (RFC 9562, 5.5): the machine's id cannot be read from it.
fn derived(machine: &str, show: &str) -> SacnCid {
    named(NAMESPACE, &format!("{machine}\n{show}"))
}

fn named(namespace: [u8; 16], name: &str) -> SacnCid {
    let digest = sha1::digest(&[&namespace[..], name.as_bytes()].concat());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    as_uuid(bytes, 5)
}

fn as_uuid(mut bytes: [u8; 16], version: u8) -> SacnCid {
    bytes[6] = bytes[6] & 0x0f | version << 4;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    SacnCid(bytes)
}

/// What tells this machine from others: its id, or its name where it has none.
fn machine_id() -> String {
    let read = |path: &&str| match atomic_file::read(Path::new(path), FILE_LIMIT) {
        Ok(Content::Bytes(bytes)) => String::from_utf8(bytes).ok(),
        Ok(Content::Missing | Content::TooLarge(_)) | Err(_) => None,
    };
    let is_id = |text: &String| text.len() == 32;
    let mut ids = MACHINE_ID_FILES.iter().filter_map(read).map(|text| text.trim().to_owned());
    ids.find(is_id).or_else(|| read(&HOST_NAME_FILE)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_is_written_as_16_bytes_or_as_a_uuid() {
        let expected = SacnCid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0x7f, 255]);
        let words = "0x00 1 2 3 4 5 6 07 010 9 0xa 11 12 13 0x7F 0xff";
        assert_eq!(parse(words), Ok(expected));
        assert_eq!(parse("00010203-0405-0607-0809-0a0b0c0d7fff"), Ok(expected));
        assert_eq!(parse(&expected.to_string()), Ok(expected));
    }

    #[test]
    fn mistakes_in_a_cid_are_found() {
        assert_eq!(parse("0xAA 0xgg").expect_err("wrong").range, 5..9);
        assert_eq!(parse("1 256").expect_err("wrong").range, 2..5);
        assert_eq!(parse("1 2 3").expect_err("wrong").message, "expected 16 bytes or a UUID, not 3 bytes");
        assert_eq!(parse("123").expect_err("wrong").message, "expected 16 bytes or a UUID, not 1 byte");
        assert!(parse("").is_err());
    }

    #[test]
    fn a_cid_without_a_state_file_is_that_of_the_machine_and_the_show() {
        assert_eq!(derived("m", "show"), derived("m", "show"));
        assert_ne!(derived("m", "show"), derived("m", "other"));
        assert_ne!(derived("m", "show"), derived("n", "show"));
        assert_eq!(OwnCid::of_show("show", None), OwnCid::of_show("show", None));
    }

    #[test]
    fn names_become_uuids_as_the_standard_has_it() {
        // RFC 9562, appendix A.4.
        let dns = parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8").expect("a UUID");
        assert_eq!(named(dns.0, "www.example.com").to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }

    #[test]
    fn a_cid_beside_a_state_file_is_random_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let state_file = directory.path().join("state");
        let first = OwnCid::of_show("show", Some(&state_file));
        assert_ne!(first.cid, OwnCid::of_show("show", Some(&state_file)).cid, "nothing is written yet");
        let path = directory.path().join("state.cid");
        atomic_file::replace(&path, format!("{}\n", first.cid).as_bytes()).expect("written");
        let again = OwnCid::of_show("show", Some(&state_file));
        assert_eq!((again.cid, again.unsaved), (first.cid, None));
        std::fs::write(&path, "not a CID").expect("written");
        assert!(OwnCid::of_show("show", Some(&state_file)).unsaved.is_some(), "it is made again");
        std::fs::remove_file(&path).expect("removed");
        std::fs::create_dir(&path).expect("created");
        assert_eq!(OwnCid::of_show("show", Some(&state_file)), OwnCid::of_show("show", None));
    }
}
