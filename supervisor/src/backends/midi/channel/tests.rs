//! Tests of channel names and of the values on channels.

use super::{ChannelAddress, ChannelKind, parse_name};
use proptest::prelude::{any, proptest};

fn address(name: &str) -> ChannelAddress {
    parse_name(name).unwrap().address
}

#[test]
fn every_type_is_named_with_and_without_a_number() {
    let cases = [
        ("ch0.cc7", 0, ChannelKind::Cc, 7),
        ("channel15.note127", 15, ChannelKind::Note, 127),
        ("ch9.pressure0", 9, ChannelKind::Pressure, 0),
        ("ch1.aftertouch", 1, ChannelKind::Aftertouch, 0),
        ("ch1.program", 1, ChannelKind::Program, 0),
        ("ch1.pitch", 1, ChannelKind::Pitch, 0),
        ("ch1.rpn16382", 1, ChannelKind::Rpn, 16382),
        ("ch1.nrpn900", 1, ChannelKind::Nrpn, 900),
    ];
    for (name, channel, kind, number) in cases {
        let parsed = parse_name(name).unwrap();
        assert_eq!(parsed.address, ChannelAddress { channel, kind, number });
        assert_eq!(parsed.warning, None, "{name}");
    }
}

#[test]
fn what_is_wrong_is_said_of_the_part_that_is_wrong() {
    let cases = [
        ("fader", "fader", "expected `chN.TYPE`"),
        ("ch16.cc1", "16", "0 to 15"),
        ("ch.cc1", "ch", "0 to 15"),
        ("ch99999999999.cc1", "99999999999", "0 to 15"),
        ("ch1cc7", "cc7", "expected a dot"),
        ("ch1", "", "expected a dot"),
        ("ch1.", "", "expected one of `cc`"),
        ("ch1.knob3", "knob", "expected one of `cc`"),
        ("ch1.cc128", "128", "0 to 127"),
        ("ch1.cc7x", "7x", "0 to 127"),
        ("ch1.cc-7", "-7", "0 to 127"),
        ("ch1.nrpn16384", "16384", "0 to 16383"),
        ("ch1.pitch.x", ".x", "nothing follows `pitch`"),
        ("ch1.ccä", "ä", "0 to 127"),
        ("ch1.ä", "ä", "expected one of `cc`"),
    ];
    for (name, part, label) in cases {
        let error = parse_name(name).unwrap_err();
        assert!(error.label.contains(label), "{name}: {}", error.label);
        let marked = name.get(error.range.clone());
        assert!(marked == Some(part) || name.is_char_boundary(error.range.start), "{name}: {marked:?}");
    }
}

#[test]
fn what_other_routers_take_is_taken_with_a_warning() {
    for (name, same) in [("ch0.pitch3", "ch0.pitch"), ("ch0.cc", "ch0.cc0"), ("ch0.rpn16383", "ch0.rpn16383")]
    {
        let parsed = parse_name(name).unwrap();
        assert!(parsed.warning.is_some(), "{name}");
        assert_eq!(parsed.address.to_string(), same);
    }
}

#[test]
fn every_value_comes_out_as_it_went_in() {
    for kind in ChannelKind::ALL {
        for raw in 0..=kind.top_value() {
            let value = kind.value(raw);
            assert!((0.0..=1.0).contains(&value));
            assert_eq!(kind.raw(value), raw, "{kind:?}");
        }
        assert_eq!((kind.value(0), kind.value(kind.top_value())), (0.0, 1.0));
    }
}

#[test]
fn no_number_breaks_the_conversion() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 2.0] {
        assert!(ChannelKind::Cc.raw(odd) <= 127);
    }
}

proptest! {
    #[test]
    fn a_name_that_an_address_is_shown_as_is_read_as_the_same(channel in 0..16u8, kind in 0..8usize, number in 0..16384u16) {
        let kind = ChannelKind::ALL[kind];
        let number = kind.top_number().map_or(0, |top| number.min(top));
        let wanted = ChannelAddress { channel, kind, number };
        assert_eq!(address(&wanted.to_string()), wanted);
    }

    #[test]
    fn no_name_makes_it_panic(name in any::<String>(), rest in any::<String>()) {
        for name in [name.clone(), format!("ch{name}"), format!("channel3.{name}"), format!("ch3.cc{rest}")] {
            if let Err(error) = parse_name(&name) {
                assert!(error.range.end <= name.len());
            }
        }
    }
}
