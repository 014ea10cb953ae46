//! Tests of selecting and setting parameters.

use super::{ParameterDecoder, ParameterValue, sequence};
use crate::backends::midi::channel::ChannelKind;
use proptest::prelude::{any, proptest};

fn run(controls: &[(u8, u8)]) -> Vec<ParameterValue> {
    let mut parameters = ParameterDecoder::default();
    controls.iter().filter_map(|(controller, value)| parameters.control(3, *controller, *value)).collect()
}

fn nrpn(number: u16, raw: u16) -> ParameterValue {
    ParameterValue { kind: ChannelKind::Nrpn, number, raw }
}

#[test]
fn a_parameter_is_set_when_the_lower_half_of_its_value_comes() {
    assert_eq!(run(&[(99, 7), (98, 4), (6, 64)]), []);
    assert_eq!(run(&[(99, 7), (98, 4), (6, 64), (38, 5)]), [nrpn(900, 64 << 7 | 5)]);
}

#[test]
fn what_is_selected_stays_selected() {
    let all = run(&[(99, 0), (98, 1), (6, 1), (38, 0), (6, 2), (38, 0), (38, 9)]);
    assert_eq!(all, [nrpn(1, 128), nrpn(1, 256), nrpn(1, 265)]);
}

#[test]
fn one_half_of_a_selection_can_change_alone() {
    let all = run(&[(101, 0), (100, 1), (6, 1), (38, 0), (100, 2), (6, 1), (38, 0)]);
    assert_eq!(all.iter().map(|set| set.number).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_value_without_a_whole_selection_is_no_event() {
    assert_eq!(run(&[(6, 1), (38, 1)]), []);
    assert_eq!(run(&[(101, 1), (6, 1), (38, 1)]), []);
    assert_eq!(run(&[(101, 1), (98, 1), (6, 1), (38, 1)]), [], "halves of two kinds");
    assert_eq!(run(&[(101, 1), (100, 1), (38, 1)]), [], "no upper half");
}

#[test]
fn a_new_selection_takes_back_the_upper_half_of_the_value() {
    assert_eq!(run(&[(99, 0), (98, 1), (6, 1), (98, 2), (38, 1)]), []);
}

#[test]
fn the_parameter_that_means_none_deselects() {
    assert_eq!(run(&[(101, 0), (100, 1), (101, 127), (100, 127), (6, 1), (38, 1)]), []);
}

#[test]
fn midi_channels_do_not_share_a_selection() {
    let mut parameters = ParameterDecoder::default();
    for (channel, controller, value) in [(0, 99, 0), (1, 99, 1), (0, 98, 5), (1, 98, 6), (0, 6, 1), (1, 6, 2)]
    {
        assert_eq!(parameters.control(channel, controller, value), None);
    }
    assert_eq!(parameters.control(1, 38, 0), Some(nrpn(134, 256)));
    assert_eq!(parameters.control(0, 38, 0), Some(nrpn(5, 128)));
    assert_eq!(parameters.control(16, 38, 0), None, "not a MIDI channel");
}

proptest! {
    #[test]
    fn every_value_of_every_parameter_survives_the_way_over_the_wire(
        registered in any::<bool>(), number in 0..16383u16, raw in 0..16384u16, full in any::<bool>()
    ) {
        let kind = if registered { ChannelKind::Rpn } else { ChannelKind::Nrpn };
        let set = ParameterValue { kind, number, raw };
        let controls: Vec<_> = sequence(set, full).collect();
        assert_eq!(controls.len(), if full { 6 } else { 4 });
        assert_eq!(run(&controls), [set]);
    }
}
