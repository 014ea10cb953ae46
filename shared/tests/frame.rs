//! Frames: what is damaged is an error, never a value and never a panic.

use mm_shared::control::{BitSet, Boot, ChannelBoot, ImportMode, Module, NameAllowance};
use mm_shared::frame::{self, BOOT, BOOT_LIMIT, FrameError, HEADER, Kind};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

const KIND: Kind = Kind { magic: *b"TEST", version: 3 };

fn boot() -> Boot {
    Boot {
        instance: "lights".to_owned(),
        directory: "/srv/show".into(),
        modules: vec![Module { text: "handlers.py".to_owned(), directory: "/srv/show".into() }],
        default_handler: None,
        channels: vec![ChannelBoot { name: "h.täck".to_owned(), input: 0.25, output: -0.0 }],
        mapped: 1,
        targets: BitSet::default(),
        allowance: NameAllowance::default(),
        import: ImportMode::LastGood(vec![1, 2, 3]),
    }
}

#[test]
fn a_boot_survives_the_trip() {
    let bytes = frame::encode(BOOT, &boot()).expect("small");
    assert_eq!(frame::decode(BOOT, BOOT_LIMIT, &bytes), Ok(boot()));
}

#[test]
fn a_frame_that_is_cut_off_anywhere_is_an_error() {
    let bytes = frame::encode(BOOT, &boot()).expect("small");
    for len in 0..bytes.len() {
        let outcome = frame::decode::<Boot>(BOOT, BOOT_LIMIT, &bytes[..len]);
        assert!(matches!(outcome, Err(FrameError::Length { .. })), "{len} bytes: {outcome:?}");
    }
}

#[test]
fn bytes_after_the_frame_are_an_error() {
    let mut bytes = frame::encode(BOOT, &boot()).expect("small");
    bytes.push(0);
    let outcome = frame::decode::<Boot>(BOOT, BOOT_LIMIT, &bytes);
    assert!(matches!(outcome, Err(FrameError::Length { .. })), "{outcome:?}");
}

#[test]
fn a_single_wrong_bit_anywhere_is_an_error() {
    let bytes = frame::encode(BOOT, &boot()).expect("small");
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(frame::decode::<Boot>(BOOT, BOOT_LIMIT, &damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn another_version_is_named() {
    let bytes = frame::encode(Kind { version: 2, ..KIND }, &1u32).expect("small");
    let outcome = frame::decode::<u32>(KIND, 100, &bytes);
    assert_eq!(outcome, Err(FrameError::Version { expected: 3, found: 2 }));
}

#[test]
fn another_kind_of_frame_is_not_read() {
    let bytes = frame::encode(Kind { magic: *b"ELSE", ..KIND }, &1u32).expect("small");
    assert_eq!(frame::decode::<u32>(KIND, 100, &bytes), Err(FrameError::Magic));
}

#[test]
fn the_limit_is_the_largest_payload_that_is_read() {
    let bytes = frame::encode(KIND, &[[7u8; 25]; 2]).expect("small");
    let payload = bytes.len() - HEADER;
    assert!(frame::decode::<[[u8; 25]; 2]>(KIND, payload, &bytes).is_ok());
    let outcome = frame::decode::<[[u8; 25]; 2]>(KIND, payload - 1, &bytes);
    assert_eq!(outcome, Err(FrameError::TooLong { limit: payload as u64 - 1, found: payload as u64 }));
}

#[test]
fn a_length_that_the_content_only_claims_allocates_nothing() {
    // a string of 2^62 bytes, says the payload
    let claim = (0xFDu8, 1u64 << 62);
    let payload = [&[claim.0][..], &claim.1.to_le_bytes()].concat();
    let bytes = reframe(&payload);
    assert!(matches!(frame::decode::<String>(KIND, 100, &bytes), Err(FrameError::Content(_))));
    assert!(matches!(frame::decode::<Vec<u64>>(KIND, 100, &bytes), Err(FrameError::Content(_))));
}

#[test]
fn content_that_is_left_over_is_an_error() {
    let bytes = frame::encode(KIND, &(1u8, 2u8)).expect("small");
    assert!(matches!(frame::decode::<u8>(KIND, 100, &bytes), Err(FrameError::Content(_))));
}

/// A whole and undamaged frame around any payload: bincode writes an array without a length.
fn reframe(payload: &[u8]) -> Vec<u8> {
    struct Raw<'a>(&'a [u8]);
    impl serde::Serialize for Raw<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeTuple;
            let mut tuple = serializer.serialize_tuple(self.0.len())?;
            self.0.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
            tuple.end()
        }
    }
    frame::encode(KIND, &Raw(payload)).expect("small")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_no_frame(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(frame::decode::<Boot>(BOOT, BOOT_LIMIT, &bytes).is_err());
    }

    #[test]
    fn arbitrary_content_decodes_to_itself_or_not_at_all(payload in vec(any::<u8>(), 0..200)) {
        if let Ok(value) = frame::decode::<Boot>(KIND, 1000, &reframe(&payload)) {
            let again = frame::encode(KIND, &value).expect("small");
            let reread = frame::decode::<Boot>(KIND, 1000, &again).expect("just written");
            // compared as text, where a NaN equals itself
            prop_assert_eq!(format!("{reread:?}"), format!("{value:?}"));
        }
    }
}
