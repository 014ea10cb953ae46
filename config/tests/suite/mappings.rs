//! Mappings and multi-channel names.

use crate::common::{mappings, show};

/// The mappings of lines between the instances `a` and `b`.
fn mapped(lines: &str) -> Vec<String> {
    mappings(&show(&format!("[loopback a]\n[loopback b]\n[map]\n{lines}\n")))
}

#[test]
fn events_go_where_the_operator_points() {
    assert_eq!(mapped("a.x < b.y"), ["b.y > a.x"]);
    assert_eq!(mapped("a.x > b.y"), ["a.x > b.y"]);
    assert_eq!(mapped("a.x <> b.y"), ["a.x > b.y", "b.y > a.x"]);
    assert_eq!(mapped("a.x >< b.y"), mapped("a.x <> b.y"));
}

#[test]
fn an_operator_needs_no_white_space() {
    assert_eq!(mapped("a.x<b.y"), ["b.y > a.x"]);
    assert_eq!(mapped("a.x<>b.y"), ["a.x > b.y", "b.y > a.x"]);
}

#[test]
fn an_operator_between_spaces_wins_over_one_within_a_name() {
    assert_eq!(mapped("a./x>1 > b./y<2"), ["a./x>1 > b./y<2"]);
    assert_eq!(mapped("a.x > b./y<2"), ["a.x > b./y<2"]);
}

#[test]
fn the_first_dot_separates_and_a_name_may_hold_dots_and_spaces() {
    assert_eq!(mapped("a.m.f.g > b.a fader.1"), ["a.m.f.g > b.a fader.1"]);
}

#[test]
fn a_pair_mapped_twice_is_one_mapping() {
    assert_eq!(mapped("a.x > b.y\nb.y < a.x\na.x <> b.y\na.{x,x} > b.y"), ["a.x > b.y", "b.y > a.x"]);
}

#[test]
fn fan_out_fan_in_and_a_channel_mapped_to_itself_are_allowed() {
    assert_eq!(mapped("a.x > b.{1..3}"), ["a.x > b.1", "a.x > b.2", "a.x > b.3"]);
    assert_eq!(mapped("a.{u,v} > b.x"), ["a.u > b.x", "a.v > b.x"]);
    assert_eq!(mapped("a.x > a.x"), ["a.x > a.x"]);
}

#[test]
fn ranges_of_one_size_are_mapped_pair_by_pair() {
    assert_eq!(mapped("a.f{1..3} < b.{3..1}"), ["b.3 > a.f1", "b.2 > a.f2", "b.1 > a.f3"]);
    assert_eq!(mapped("a.{01..02} > b.{r,g}"), ["a.1 > b.r", "a.2 > b.g"]);
    assert_eq!(mapped("a.{x,y}{1..2} > b.{4..1}"), ["a.x1 > b.4", "a.x2 > b.3", "a.y1 > b.2", "a.y2 > b.1"]);
}

#[test]
fn channels_stand_in_the_order_of_their_first_mention() {
    let show = show("[loopback a]\n[map]\na.z > a.{c,b}\na.b > a.a\n");
    let names: Vec<&str> = show.instances[0].channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["z", "c", "b", "a"]);
}

#[test]
fn a_channel_points_to_its_first_mention() {
    let text = "[loopback a]\n[map]\na.x > a.f{1..2}\na.f1 > a.x\n";
    let show = show(text);
    let places: Vec<&str> =
        show.instances[0].channels.iter().map(|channel| &text[channel.span.range()]).collect();
    assert_eq!(places, ["x", "f{1..2}", "f{1..2}"]);
}
