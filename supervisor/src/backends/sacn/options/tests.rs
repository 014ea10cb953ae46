//! The options of the backend and of instances, and where errors point.

use super::*;
use crate::show_file::load_text;
use mm_config::Show;
use std::path::Path;

fn load(text: &str) -> (Show, Diagnostics) {
    let loaded = load_text(Path::new("/show.cfg"), text);
    (loaded.show, loaded.diagnostics)
}

fn instance(settings: &str) -> (Option<SacnInstanceOptions>, Vec<String>) {
    let (show, mut diagnostics) = load(&format!("[backend sacn]\n[sacn net]\n{settings}\n"));
    let options = SacnInstanceOptions::read(&show.instances[0], 1, &mut diagnostics);
    (options, diagnostics.iter().map(|diagnostic| diagnostic.message().to_owned()).collect())
}

fn backend(settings: &str) -> (SacnBackendOptions, usize) {
    let (show, diagnostics) = load(&format!("[backend sacn]\n{settings}\n[sacn net]\nuniverse = 1\n"));
    (SacnBackendOptions::read(show.backends.first()), diagnostics.iter().count())
}

#[test]
fn an_instance_needs_only_a_universe() {
    let (options, found) = instance("universe = 63999");
    assert_eq!(found, Vec::<String>::new());
    let expected = SacnInstanceOptions {
        universe: 63999,
        interface: BindIndex(0),
        priority: None,
        destination: None,
        from: None,
        is_unicast: false,
        output: OutputOptions { is_realtime: false, hold: None },
        loss: InputLoss::Hold,
        settle: Duration::ZERO,
    };
    assert_eq!(options, Some(expected));
}

#[test]
fn all_options_of_an_instance_are_read() {
    let (options, found) = instance(
        "universe = 1\ninterface = 0\npriority = 0\ndestination = 10.2.2.2\nunicast = 1\nrealtime = 1\nhold = 40ms\n\
         from = 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 0xff\ninput-loss = zero\nsource-settle = 1.5s",
    );
    assert_eq!(found, Vec::<String>::new());
    let options = options.expect("it has a universe");
    assert_eq!((options.priority, options.is_unicast), (Some(0), true));
    assert_eq!(options.destination.map(|to| to.to_string()).as_deref(), Some("10.2.2.2 5568"));
    assert_eq!(options.from.map(|cid| cid.0[15]), Some(255));
    let output = OutputOptions { is_realtime: true, hold: Some(Duration::from_millis(40)) };
    assert_eq!((options.output, options.loss), (output, InputLoss::Zero));
    assert_eq!(options.settle, Duration::from_millis(1500));
}

#[test]
fn mistakes_of_an_instance_are_errors() {
    assert_eq!(instance("priority = 100").1, ["instance `net` has no `universe`"]);
    assert_eq!(instance("universe = 1\ninterface = 1").1, ["there is no `bind` with the number 1"]);
    for wrong in
        ["universe = 0", "universe = 64000", "priority = 201", "from = 1 2", "destination = *", "hold = 5"]
    {
        let (options, found) = instance(&format!("universe = 1\n{wrong}"));
        assert_eq!((options.is_some(), found.len()), (true, 1), "{wrong}: {found:?}");
    }
    for wrong in
        ["universe = 0", "universe = 70000", "universe =", "universe = 1\npriority = 201\ndestination = h"]
    {
        let (show, mut diagnostics) = load(&format!("[backend sacn]\n[sacn net]\n{wrong}\n"));
        let reported = diagnostics.iter().count();
        SacnInstanceOptions::read(&show.instances[0], 1, &mut diagnostics);
        assert_eq!((reported, diagnostics.iter().count()), (1, 1), "{wrong}");
    }
    let expected = ["instance `net` has a `destination` but no `priority`"];
    assert_eq!(instance("universe = 1\ndestination = 10.0.0.1").1, expected);
}

#[test]
fn the_options_of_the_backend_are_read() {
    let (options, found) = backend(
        "bind = 0.0.0.0 5568 local\nbind = eth1\nname = House lights\ndetect = verbose\n\
         cid = 01234567-89ab-4def-8fed-cba987654321",
    );
    assert_eq!(found, 0);
    let binds: Vec<String> = options.binds.iter().map(ToString::to_string).collect();
    assert_eq!(binds, ["* 5568", "eth1 5568"]);
    assert_eq!((options.name.as_str(), options.detect), ("House lights", SacnDetect::Verbose));
    assert_eq!(options.cid.map(|cid| cid.0[0]), Some(1));
    let (options, _) = backend("");
    assert_eq!((options.binds[0].to_string(), options.name.as_str()), ("* 5568".into(), "mm-supervisor"));
    assert_eq!((options.cid, options.detect), (None, SacnDetect::Off));
}

#[test]
fn mistakes_of_the_backend_are_errors() {
    let long = format!("name = {}", "x".repeat(64));
    for wrong in ["bind = * 5568 lokal", "bind = fe80::1", "cid = 0xAA 0xBB", "detect = yes", &long] {
        assert_eq!(backend(wrong).1, 1, "{wrong}");
    }
    assert_eq!(backend(&format!("name = {}", "x".repeat(63))).1, 0);
}
