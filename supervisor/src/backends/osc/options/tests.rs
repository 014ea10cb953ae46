//! The options of an instance, and where errors point.

use super::*;
use crate::backends::osc::range::OscArgument;
use crate::backends::osc::tests::Written;
use mm_config::Severity;

fn read(settings: &[(&str, &str)]) -> (OscOptions, Vec<(Severity, String)>) {
    let written = Written::new(settings, &[]);
    let mut diagnostics = Diagnostics::default();
    let options = OscOptions::read(&written.instance, &mut diagnostics);
    (options, written.underlined(&diagnostics))
}

pub(in super::super) fn ranges(format: &str) -> Vec<OscRange> {
    let (options, found) = read(&[("bind", "* 0"), ("/x", format)]);
    assert_eq!(found, [], "{format}");
    options.rules[0].ranges.to_vec()
}

/// What is underlined in the value of a pattern.
pub(in super::super) fn errors(format: &str) -> Vec<String> {
    let (options, found) = read(&[("bind", "* 0"), ("/x", format)]);
    assert!(options.rules.is_empty());
    found.into_iter().map(|(severity, text)| (assert_eq!(severity, Severity::Error), text).1).collect()
}

/// The range of a single parameter, and what is underlined in the value of its pattern as a warning.
pub(in super::super) fn warnings(format: &str) -> (OscRange, Vec<String>) {
    let (options, found) = read(&[("bind", "* 0"), ("/x", format)]);
    let texts = found.into_iter().map(|(severity, text)| (assert_eq!(severity, Severity::Warning), text).1);
    (options.rules[0].ranges[0], texts.collect())
}

#[test]
fn all_options_of_an_instance_are_read() {
    let (options, found) = read(&[
        ("bind", "127.0.0.1 8000"),
        ("bind", ":: 8001"),
        ("destination", "host.example 9000"),
        ("root", "/stage/left/"),
        ("/a*", "f 0 1"),
        ("/b", "ih 0 255 0x10 1024"),
    ]);
    assert_eq!(found, []);
    let bind = options.bind.expect("there is one");
    assert_eq!((bind.host.as_str(), bind.port), ("::", 8001), "the last one counts");
    let OscDestination::Fixed(to) = options.destination else { panic!("a host is given") };
    assert_eq!((to.host.as_str(), to.port), ("host.example", 9000));
    assert_eq!(options.root, "/stage/left");
    assert!(options.rules[0].pattern.matches("/abc"));
    assert_eq!(
        *options.rules[1].ranges,
        [OscRange::Int { min: 0, max: 255 }, OscRange::Long { min: 16, max: 1024 }]
    );
}

#[test]
fn a_destination_can_be_learned_with_its_port_or_with_another() {
    let destination = |text: &str| read(&[("bind", "* 0"), ("destination", text)]).0.destination;
    assert_eq!(destination("learn"), OscDestination::Learn { port: None });
    assert_eq!(destination("learn@9000"), OscDestination::Learn { port: Some(9000) });
}

#[test]
fn numbers_beyond_the_format_are_a_warning() {
    let (options, found) = read(&[("bind", "* 0"), ("/x", "f 0 1 2 3")]);
    assert_eq!(found, [(Severity::Warning, "2 3".to_string())]);
    assert_eq!(options.rules[0].ranges[0].normalise(OscArgument::Switch(true)), Some(1.0));
}

#[test]
fn mistakes_in_patterns_and_roots_are_underlined() {
    let underlined = |settings: &[(&str, &str)]| read(settings).1;
    let error = |text: &str| vec![(Severity::Error, text.to_string())];
    assert_eq!(underlined(&[("bind", "* 0"), ("/a[b", "f 0 1")]), error("[b"));
    assert_eq!(underlined(&[("bind", "* 0"), ("root", "/a*")]), error("*"));
    assert_eq!(underlined(&[("bind", "* 0"), ("destination", "* 9000")]), error("*"));
    assert_eq!(underlined(&[("bind", "* 99999")]), error("* 99999"));
}

#[test]
fn an_instance_that_can_neither_receive_nor_send_is_warned_of() {
    let warning = |text: &str| vec![(Severity::Warning, text.to_string())];
    assert_eq!(read(&[]).1, warning("out"));
    assert_eq!(read(&[("destination", "learn")]).1, warning("learn"));
    assert_eq!(read(&[("destination", "127.0.0.1 9000")]).1, []);
}

#[test]
fn detect_is_off_unless_it_is_switched_on() {
    let written = |value| Written::new(&[("detect", value)], &[]);
    let section = |value| {
        let instance = written(value).instance;
        Section { backend: "osc", settings: instance.settings, span: instance.span }
    };
    assert!(detect(Some(&section("on"))));
    assert!(!detect(Some(&section("off"))) && !detect(None));
}
