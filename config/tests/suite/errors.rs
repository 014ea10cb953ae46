//! Every kind of error as a user sees it.

use mm_config::{Diagnostics, Overrides, load_text};

use crate::backends::BACKENDS;
use crate::common::text;

/// The rendered diagnostics of a show.
fn rendered(show: &str) -> String {
    text(show).diagnostics.render(false)
}

#[test]
fn wrong_section_headers() {
    insta::assert_snapshot!(rendered(
        "[]\n[ ]\n[map\n[mapp]\n[ map]\n[map x]\n[supervisor x]\n[backend]\n[backend  osc]\n[osc]\n[osc\ta]\n[osc b ]\n\
         [osc c] ; note\n[osc d] note\n[include]\n[python\n"
    ));
}

#[test]
fn unknown_and_missing_backends() {
    insta::assert_snapshot!(rendered(
        "[backend ocs]\n[OSC a]\n[midi b]\n[backend artnet]\n[sacn c]\n[lua d]\n[nothing e]\n[inclde ./x.map]\n[backends osc]\n"
    ));
}

#[test]
fn wrong_instance_names() {
    insta::assert_snapshot!(rendered(
        "[osc a]\n[loopback a]\nx = 1\n[osc b.c]\n[osc d e]\nrot = x\n[osc a]\n"
    ));
}

#[test]
fn lines_where_they_do_not_belong() {
    insta::assert_snapshot!(rendered(
        "bind = * 8000\nroot = /x\n[osc a]\nnot an option\na./x > a./y\n= 4\nbind =\n[map]\nbind = * 8000\njust words\n"
    ));
}

#[test]
fn lines_that_are_no_mappings() {
    insta::assert_snapshot!(rendered(
        "[loopback a]\n[map]\na.x\na.x = a.y\n< a.x\na.x >\n>\na.x > a\n.x > a.\na.x > a.y > a.z\na.x >> a.y\n\
         a.x -> a.y\na.x <= a.y\na.x <-> a.y\n"
    ));
}

#[test]
fn wrong_ranges() {
    insta::assert_snapshot!(rendered(
        "[loopback a]\n[map]\na.{1..5} > a.{1..4}\na.{u,v} < a.{1..3}{x,y}\na.x > a.f{1..5\na.{1..{2}} > a.x\n\
         a.f{5} > a.{}\na.{1..x} > a.{-1..3}\na.{1..} > a.{..2}\na.{1..3,5} > a.{u,,v}\na.x > a.{1..1048577}\n\
         a.x > a.{0..18446744073709551615}\na.x > a.{1..99999999999999999999}\n"
    ));
}

#[test]
fn what_looks_like_a_comment_behind_a_line_is_warned_of_where_it_is_allowed() {
    insta::assert_snapshot!(rendered("[python p]\nmodule = a.py ; mine\n[map]\np.x > p.y ; out\n"));
}

#[test]
fn unknown_instances_are_said_once() {
    insta::assert_snapshot!(rendered(
        "[loopback front]\n[loopback rear]\n[map]\nfornt.x > rear.x\nrear.y > fornt.y\nfornt.z > stage.z\nfront{1..2}.x > rear.x\n"
    ));
}

#[test]
fn the_first_of_two_is_shown_also_when_it_is_far_away() {
    let between = "; a comment\n".repeat(50);
    insta::assert_snapshot!(rendered(&format!("[loopback a]\n{between}[osc a]\n")));
}

#[test]
fn a_backend_can_add_what_it_finds_in_a_part_of_a_value() {
    let text = "[osc desk]\n/fader* = q 0 1\n[map]\ndesk.fader > desk.knob\n";
    let mut loaded = load_text("show.cfg".as_ref(), text, &Overrides::default(), BACKENDS);
    let desk = loaded.show.instances[0].clone();
    let value = desk.settings[0].value.span;
    let diagnostics = &mut loaded.diagnostics;
    diagnostics.error(value.slice(0..1), "unknown type `q`").label("expected `i`, `f`, `h` or `d`");
    diagnostics.warning(desk.channels[0].span, "no pattern matches").hint("add `/fader = f 0 1`");
    diagnostics.error(None, "no place at all").hint("none needed");
    diagnostics.error(value.slice(5..99), "up to the end of the value");
    assert_eq!(loaded.diagnostics.sources().place(value), "show.cfg:2");
    insta::assert_snapshot!(loaded.diagnostics.render(false));
}

#[test]
fn nothing_in_a_file_can_steer_the_terminal() {
    let text = rendered("[osc a\x1b[31m]\n\x1b[2J = 1\n[osc \u{9b}2J]\n[backend \x07x\x08]\n");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn colour_is_there_only_when_it_is_asked_for() {
    let loaded = text("[pithon p]\n");
    assert!(!loaded.diagnostics.render(false).contains('\x1b'));
    assert!(loaded.diagnostics.render(true).contains('\x1b'));
}

#[test]
fn nothing_wrong_is_nothing_said() {
    assert_eq!(Diagnostics::default().render(false), "");
}

#[test]
fn of_a_hopeless_file_the_first_thousand_errors_are_shown_and_the_rest_is_counted() {
    let loaded = text(&format!("[osc a]\n{}", "nonsense\n".repeat(1500)));
    assert_eq!(loaded.diagnostics.iter().count(), 1000);
    assert!(loaded.diagnostics.render(false).ends_with("\n\n1500 errors, 500 of them not shown\n"));
}
