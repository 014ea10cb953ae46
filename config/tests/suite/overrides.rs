//! Overrides with `-b` and `-i`.

use std::path::Path;

use mm_config::{LoadedShowFile, load_text};

use crate::backends::BACKENDS;
use crate::common::{instance, overrides, settings, valid};

fn with(text: &str, backend: &[&str], instance: &[&str]) -> LoadedShowFile {
    load_text(Path::new("/srv/show/show.cfg"), text, &overrides(backend, instance), BACKENDS)
}

fn rendered(text: &str, backend: &[&str], instance: &[&str]) -> String {
    with(text, backend, instance).diagnostics.render(false)
}

#[test]
fn what_the_file_says_comes_after_the_overrides() {
    let show = valid(with("[osc o]\nroot = /file\n", &[], &["o.root=/flag", " o . bind = * 8000 "]));
    assert_eq!(settings(&show, "o"), ["root = /flag", "bind = * 8000", "root = /file"]);
}

#[test]
fn an_option_that_accumulates_adds_up() {
    let show = valid(with("[python p]\nmodule = b\n", &[], &["p.module=a"]));
    assert_eq!(settings(&show, "p"), ["module = a", "module = b"]);
}

#[test]
fn a_backend_is_mentioned_by_its_section_or_by_an_instance() {
    let show = valid(with("[backend osc]\ndetect = off\n", &["osc.detect=on"], &[]));
    let values: Vec<&str> = show.backend("osc").iter().map(|one| one.value.value.as_str()).collect();
    assert_eq!(values, ["on", "off"]);
    let show = valid(with("[osc o]\n", &["osc.detect=on"], &[]));
    assert_eq!(show.backend("osc").len(), 1);
}

#[test]
fn a_path_in_an_override_is_relative_to_the_show() {
    let show = valid(with("[python p]\n", &[], &["p.venv=env"]));
    assert_eq!(instance(&show, "p").settings[0].path(), Path::new("/srv/show/env"));
}

#[test]
fn a_value_may_hold_dots_and_equals_signs() {
    let show = valid(with("[loopback l]\n", &[], &["l.a.b=c.d=e"]));
    assert_eq!(settings(&show, "l"), ["a.b = c.d=e"]);
}

#[test]
fn what_is_wrong_with_an_override_is_said_like_an_error_in_a_file() {
    let show = "[osc desk]\n[python py]\n";
    let backend = [
        "osc",
        "osc.detect",
        "=x",
        ".a=b",
        "ocs.detect=on",
        "artnet.detect=on",
        "osc.detct=on",
        "loopback.x=1",
    ];
    let instance = ["desk.bind=nowhere", "desc.bind=* 8000", "py.wachdog=1s", "py.watchdog=1", "py.=1", ""];
    insta::assert_snapshot!(rendered(show, &backend, &instance));
}

#[test]
fn an_override_of_a_broken_instance_adds_no_error() {
    assert!(rendered("[osx desk]\n", &[], &["desk.bind=* 8000"]).ends_with("\n\n1 error\n"));
}
