//! What show files may say of `artnet`, and what is wrong with others.

use super::*;
use crate::backends::BackendKind;
use crate::backends::artnet::ArtnetKind;
use crate::test_shows::live_show;

/// The options of the instance `net` in a show, and what is wrong with the show.
fn read(text: &str) -> (ArtnetInstanceOptions, Vec<String>) {
    let show = live_show(text);
    let section = show.backends.iter().find(|section| section.backend == "artnet");
    let common = ArtnetBackendOptions::read(section);
    let mut diagnostics = Diagnostics::default();
    ArtnetKind.plan(section, &show.instances_of("artnet"), &mut diagnostics);
    let messages = diagnostics.iter().map(|one| one.message().to_owned()).collect();
    let live = show.find("net").expect("the show has it");
    (ArtnetInstanceOptions::read(&live, &common, &mut Diagnostics::default()), messages)
}

fn number(text: &str) -> u16 {
    read(text).0.address.number()
}

#[test]
fn a_universe_is_net_and_universe() {
    assert_eq!(number("[artnet net]\n"), 0);
    assert_eq!(number("[artnet net]\nnet = 3\nuniverse = 23\n"), 0x317);
    assert_eq!(number("[artnet net]\nuni = 255\n"), 0xFF);
    assert_eq!(number("[backend artnet]\nnet = 2\n[artnet net]\nuniverse = 1\n"), 0x201);
    assert_eq!(number("[backend artnet]\nnet = 2\n[artnet net]\nnet = 0\nuniverse = 1\n"), 1);
}

#[test]
fn a_number_above_255_is_explained() {
    let error = check_universe("300").expect_err("it is too high");
    assert_eq!(error.hint.as_deref(), Some("universe 300 is `net = 1` and `universe = 44`"));
    for text in ["-1", "x", "40000", ""] {
        assert!(check_universe(text).is_err(), "{text}");
    }
}

#[test]
fn binds_are_hosts_with_ports_and_addresses_to_announce() {
    let bind = read_bind("0.0.0.0 6455 announce=10.0.0.1").expect("it is right");
    assert_eq!((bind.spec.to_string().as_str(), bind.announce), ("* 6455", Some(Ipv4Addr::new(10, 0, 0, 1))));
    assert_eq!(read_bind("eth1").map(|bind| bind.spec.to_string()), Ok("eth1 6454".to_owned()));
    for (text, range) in [
        ("* announce=0.0.0.0", 11..18),
        ("* 6454 announce=x", 16..17),
        ("* 6454 local", 7..12),
        ("* 0", 2..3),
    ] {
        assert_eq!(read_bind(text).expect_err(text).range, range, "{text}");
    }
}

#[test]
fn without_a_bind_all_interfaces_are_used() {
    let options = ArtnetBackendOptions::read(None);
    assert_eq!(options.binds.iter().map(|bind| bind.spec.to_string()).collect::<Vec<_>>(), ["* 6454"]);
}

#[test]
fn a_destination_is_a_host_or_found_by_asking() {
    let destination = |text: &str| read(&format!("[artnet net]\ndestination = {text}\n")).0.destination;
    assert_eq!(destination("discover"), Some(ArtnetDestination::Discover));
    let host = |port| ArtnetDestination::Host(DestinationSpec { host: "10.0.0.255".into(), port });
    assert_eq!(destination("10.0.0.255"), Some(host(6454)));
    assert_eq!(destination("10.0.0.255 7000"), Some(host(7000)));
    assert_eq!(read("[artnet net]\n").0.destination, None);
}

#[test]
fn times_and_switches_are_read_and_have_the_defaults_of_the_table() {
    let text = "[artnet net]\nrealtime = 1\nhold = 40ms\ninput-loss = zero\nsource-timeout = 3s\n";
    let (options, _) = read(text);
    assert!(options.output.is_realtime);
    assert_eq!(options.output.hold, Some(Duration::from_millis(40)));
    assert_eq!((options.loss, options.source_timeout), (InputLoss::Zero, Duration::from_secs(3)));
    let (options, _) = read("[artnet net]\nhold = off\n");
    assert_eq!((options.output, options.loss), (OutputOptions::default(), InputLoss::Hold));
    assert_eq!(options.source_timeout, SOURCE_TIMEOUT);
}

#[test]
fn an_interface_without_a_bind_is_an_error() {
    let binds = "[backend artnet]\nbind = 127.0.0.1\nbind = 127.0.0.2\n";
    assert!(read(&format!("{binds}[artnet net]\ninterface = 1\n")).1.is_empty());
    assert_eq!(
        read(&format!("{binds}[artnet net]\niface = 2\n")).1,
        ["there is no `bind` with the number 2"]
    );
}

#[test]
fn channels_to_send_without_a_destination_are_a_warning() {
    let show =
        |options: &str| format!("[artnet net]\n{options}\n[loopback l]\n[map]\nl.a > net.1\nl.b < net.2\n");
    assert_eq!(read(&show("")).1, ["instance `net` has no `destination`, so it sends nothing"]);
    assert!(read(&show("destination = discover")).1.is_empty());
    assert!(read("[artnet net]\n[loopback l]\n[map]\nl.b < net.2\n").1.is_empty());
}

#[test]
fn two_instances_that_send_one_universe_to_one_place_are_a_warning() {
    let show = |one: &str, two: &str| read(&format!("[artnet net]\n{one}\n[artnet other]\n{two}\n")).1;
    let warning = ["`net` and `other` send the same universe to the same place"];
    assert_eq!(show("destination = 10.0.0.1", "destination = 10.0.0.1 6454"), warning);
    assert_eq!(show("destination = discover", "destination = discover"), warning);
    assert!(show("destination = 10.0.0.1", "destination = 10.0.0.2").is_empty());
    assert!(show("destination = 10.0.0.1", "destination = 10.0.0.1\nuniverse = 1").is_empty());
    assert!(show("destination = 10.0.0.1", "").is_empty());
}
