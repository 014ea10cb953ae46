//! Names of channels, and which arguments reach which channel.

use super::*;
use crate::backends::osc::tests::Written;
use mm_config::Severity;

fn build(settings: &[(&str, &str)], channels: &[&str]) -> (OscPaths, Vec<(Severity, String)>) {
    let written = Written::new(&[&[("bind", "* 0")], settings].concat(), channels);
    let mut diagnostics = Diagnostics::default();
    let options = OscOptions::read(&written.instance, &mut diagnostics);
    let paths = OscPaths::new(&written.instance, &options, &mut diagnostics);
    (paths, written.underlined(&diagnostics))
}

fn sound(settings: &[(&str, &str)], channels: &[&str]) -> OscPaths {
    let (paths, found) = build(settings, channels);
    assert_eq!(found, []);
    paths
}

fn events(paths: &mut OscPaths, address: &str, arguments: &[OscArgument]) -> (Vec<(u32, f64)>, OscDelivery) {
    let mut events = Vec::new();
    let path = paths.find(address.as_bytes()).expect("the path is mapped");
    let delivery = path.deliver(arguments, |channel, value| events.push((channel.0, value)));
    (events, delivery)
}

fn float(value: f32) -> OscArgument {
    OscArgument::Number(OscNumber::Float(value))
}

#[test]
fn a_parameter_reaches_each_channel_that_names_it() {
    let mut paths = sound(&[], &["/xy:1", "/xy", "/other", "/xy:0"]);
    let (events, delivery) = events(&mut paths, "/xy", &[float(0.25), float(0.5), float(0.75)]);
    assert_eq!(events, [(1, 0.25), (3, 0.25), (0, 0.5)]);
    assert_eq!(delivery, OscDelivery::Done);
}

#[test]
fn without_a_pattern_the_default_range_of_the_incoming_type_counts() {
    let mut paths = sound(&[], &["/a:0", "/a:1", "/a:2", "/a:3"]);
    let numbers = [OscNumber::Int(51), OscNumber::Float(0.5), OscNumber::Long(512), OscNumber::Double(2.0)];
    let (events, _) = events(&mut paths, "/a", &numbers.map(OscArgument::Number));
    assert_eq!(events, [(0, 0.2), (1, 0.5), (2, 0.5), (3, 1.0)]);
}

#[test]
fn a_whole_number_has_the_range_of_the_real_numbers_before_it() {
    let mut paths = sound(&[], &["/a", "/b"]);
    let one = OscArgument::Number(OscNumber::Int(1));
    assert_eq!(events(&mut paths, "/a", &[one]).0, [(0, 1.0 / 255.0)]);
    assert_eq!(events(&mut paths, "/a", &[float(0.95)]).0.len(), 1);
    assert_eq!(events(&mut paths, "/a", &[one]).0, [(0, 1.0)]);
    assert_eq!(events(&mut paths, "/b", &[one]).0, [(1, 1.0 / 255.0)]);
}

#[test]
fn a_longer_pattern_gives_the_format_where_no_other_matches() {
    let patterns = [("/ch/*/thr/f", "i 0 4"), ("/a/long", "i 0 9"), ("/a", "f 0 2")];
    let (mut paths, found) = build(&patterns, &["/ch/1/thr", "/ch/2/thr", "/a"]);
    assert_eq!(found, [(Severity::Warning, "/ch/*/thr/f".to_owned())]);
    assert_eq!(events(&mut paths, "/ch/2/thr", &[float(1.0)]).0, [(1, 0.25)]);
    assert_eq!(events(&mut paths, "/a", &[float(1.0)]).0, [(2, 0.5)]);
}

#[test]
fn the_first_pattern_in_file_order_that_matches_counts() {
    let mut paths = sound(&[("/a*", "f 0 2"), ("/ab", "f 0 4")], &["/ab"]);
    assert_eq!(events(&mut paths, "/ab", &[float(1.0)]).0, [(0, 0.5)]);
}

#[test]
fn the_root_belongs_to_the_address_but_not_to_the_channel() {
    let mut paths = sound(&[("root", "/stage"), ("/a", "f 0 1")], &["/a"]);
    assert!(paths.find(b"/a").is_none() && paths.find(b"/stage/ab").is_none());
    assert_eq!(events(&mut paths, "/stage/a", &[float(1.0)]).0, [(0, 1.0)]);
    assert!(paths.datagram(0).starts_with(b"/stage/a\0"));
}

#[test]
fn a_message_with_another_number_of_parameters_than_its_pattern_reaches_nobody() {
    let mut paths = sound(&[("/xy", "ff 0 1 0 1")], &["/xy", "/xy:1"]);
    assert_eq!(
        events(&mut paths, "/xy", &[float(1.0)]),
        (vec![], OscDelivery::WrongParameterCount { expected: 2 })
    );
}

#[test]
fn an_argument_without_a_value_does_not_keep_the_others_back() {
    let mut paths = sound(&[], &["/a:0", "/a:1", "/a:2"]);
    let (events, delivery) = events(&mut paths, "/a", &[OscArgument::Other, float(f32::NAN), float(0.5)]);
    assert_eq!((events, delivery), (vec![(2, 0.5)], OscDelivery::NoValue));
}

#[test]
fn a_mapped_argument_that_is_missing_is_reported() {
    let mut paths = sound(&[], &["/a:0", "/a:1"]);
    assert_eq!(events(&mut paths, "/a", &[]), (vec![], OscDelivery::NoArgument));
    assert_eq!(events(&mut paths, "/a", &[float(0.5)]), (vec![(0, 0.5)], OscDelivery::NoArgument));
}

#[test]
fn mistakes_in_channel_names_are_underlined() {
    let underlined = |channel: &str| build(&[("/xy", "ff 0 1 0 1")], &[channel]).1;
    let error = |text: &str| vec![(Severity::Error, text.to_string())];
    assert_eq!(underlined("fader"), error("fader"));
    assert_eq!(underlined("/fader*"), error("*"));
    assert_eq!(underlined("/a\tb"), error("\t"));
    assert_eq!(underlined("/a:1024"), error("1024"));
    assert_eq!(underlined("/a:99999999999999999999"), error("99999999999999999999"));
    assert_eq!(underlined("/xy:1"), []);
}

#[test]
fn names_that_mean_something_else_than_they_seem_to_are_warnings() {
    let warned = |channel: &str| {
        let (paths, found) = build(&[("/xy", "ff 0 1 0 1")], &[channel]);
        assert_eq!(found, [(Severity::Warning, channel.to_owned())]);
        paths
    };
    for channel in ["/a:x", "/a:", "/a:-1"] {
        assert!(warned(channel).find(channel.as_bytes()).is_some(), "all of it is the path");
    }
    let mut paths = warned("/xy:2");
    assert_eq!(events(&mut paths, "/xy", &[float(0.5), float(0.5)]), (vec![], OscDelivery::Done));
}

#[test]
fn channels_from_one_range_share_one_error() {
    let mut written = Written::new(&[("bind", "* 0")], &["{1..3}", "{1..3}"]);
    let [first, second] = &mut written.instance.channels[..] else { panic!("there are two") };
    (first.name, second.name) = ("1".into(), "2".into());
    second.span = first.span;
    let mut diagnostics = Diagnostics::default();
    let options = OscOptions::read(&written.instance, &mut diagnostics);
    OscPaths::new(&written.instance, &options, &mut diagnostics);
    assert_eq!(written.underlined(&diagnostics), [(Severity::Error, "{1..3}".to_string())]);
}

#[test]
fn a_message_that_fits_into_no_datagram_is_an_error() {
    let root = format!("/{}", "x".repeat(MAX_DATAGRAM));
    let (_, found) = build(&[("root", &root), ("/a", "f 0 1")], &["/a"]);
    assert_eq!(found, [(Severity::Error, "/a".to_string())]);
}

#[test]
fn the_line_that_is_missing_has_all_parameters_that_are_mapped() {
    let mut paths = sound(&[], &["/xy:1", "/xy:0"]);
    let path = paths.find(b"/xy").expect("the path is mapped");
    assert_eq!(path.missing_line(), "/xy = ff 0.0 1.0 0.0 1.0");
}
