//! Lines, sections and includes.

use std::path::Path;

use crate::common::{Files, instance, mappings, settings, show, text, valid};

#[test]
fn white_space_and_control_characters_around_lines_keys_and_values_do_not_count() {
    let show = show(
        "\u{feff}\t[osc desk]\r\n \x01 root \t=\x02  /a b  \r\n\x0c[map]\x0c\n desk./x  <>\tdesk./y \r\n",
    );
    assert_eq!(settings(&show, "desk"), ["root = /a b"]);
    assert_eq!(mappings(&show), ["desk./x > desk./y", "desk./y > desk./x"]);
}

#[test]
fn comments_are_lines_of_their_own() {
    let show = show("; one\n[loopback l]\n  ; two\nx = 1 ; not one\n;[map]\n");
    assert_eq!(settings(&show, "l"), ["x = 1 ; not one"]);
}

#[test]
fn the_first_equals_sign_separates() {
    assert_eq!(settings(&show("[loopback l]\na = b = c\n"), "l"), ["a = b = c"]);
}

#[test]
fn sections_may_come_back() {
    let show = show(
        "[backend osc]\ndetect = on\n[osc a]\n[map]\na./x > a./y\n[backend osc]\ndetect = off\n[osc b]\n[map]\nb./x > a./x\n",
    );
    assert_eq!(show.backends.len(), 1);
    assert_eq!(show.backend("osc").len(), 2);
    assert_eq!(mappings(&show), ["a./x > a./y", "b./x > a./x"]);
}

#[test]
fn an_instance_may_be_mapped_above_its_declaration() {
    assert_eq!(mappings(&show("[map]\na.x > b.y\n[loopback a]\n[loopback b]\n")), ["a.x > b.y"]);
}

#[test]
fn loopback_takes_any_option() {
    assert_eq!(settings(&show("[backend loopback]\nany =\n[loopback l]\n/thing = \n"), "l"), ["/thing = "]);
}

#[test]
fn an_alias_is_the_option_itself() {
    assert_eq!(settings(&show("[osc a]\ndest = learn\n"), "a"), ["destination = learn"]);
}

#[test]
fn a_show_knows_its_name_and_where_it_is() {
    let files = Files::new(&[("my show.cfg", b"[loopback l]\n")]);
    let show = valid(files.load("my show.cfg"));
    assert_eq!(show.name, "my show");
    assert_eq!(show.path, files.path("my show.cfg"));
    assert_eq!(show.directory, files.path(""));
    assert_eq!(show.files, [files.path("my show.cfg")]);
}

#[test]
fn the_section_runs_on_into_an_include_and_out_of_it_again() {
    let files = Files::new(&[
        ("show.cfg", b"[loopback l]\n[map]\n[include ./map/x.map]\nl.c > l.d\n"),
        ("map/x.map", b"l.a > l.b\n[loopback m]\n[include more]\n"),
        ("map/more", b"k = v\n[map]\nm.a > m.b\n"),
    ]);
    let show = valid(files.load("show.cfg"));
    assert_eq!(mappings(&show), ["l.a > l.b", "m.a > m.b", "l.c > l.d"]);
    assert_eq!(settings(&show, "m"), ["k = v"]);
    assert_eq!(show.files.len(), 3);
}

#[test]
fn a_file_may_be_included_twice_but_not_within_itself() {
    let files = Files::new(&[
        ("show.cfg", b"[loopback l]\n[map]\n[include x]\n[include x]\n"),
        ("x", b"l.a > l.b\n"),
    ]);
    assert_eq!(mappings(&valid(files.load("show.cfg"))), ["l.a > l.b"]);
}

#[test]
fn a_setting_knows_the_directory_of_the_file_that_names_it() {
    let files = Files::new(&[
        ("show.cfg", b"[python p]\nmodule = a\n[include sub/part.cfg]\n"),
        ("sub/part.cfg", b"module = b\n"),
    ]);
    let show = valid(files.load("show.cfg"));
    let directories: Vec<&Path> =
        instance(&show, "p").settings.iter().map(|setting| setting.directory.as_path()).collect();
    assert_eq!(directories, [files.path(""), files.path("sub")]);
}

#[test]
fn a_comment_may_be_in_an_old_encoding() {
    let files = Files::new(&[("show.cfg", b"; f\xfcr die B\xfchne\n[loopback l]\n")]);
    assert_eq!(valid(files.load("show.cfg")).instances.len(), 1);
}

#[test]
fn what_is_right_is_in_the_show_beside_the_errors() {
    let loaded =
        text("[loopback l]\n[pithon p]\n[osc o]\nroot = x\ndest = learn\n[map]\nl.a > p.b\nl.a > o./c\n");
    assert!(loaded.diagnostics.has_errors());
    assert_eq!(settings(&loaded.show, "o"), ["destination = learn"]);
    assert_eq!(mappings(&loaded.show), ["l.a > o./c"]);
}

#[test]
fn a_broken_declaration_is_one_error_and_its_uses_are_none() {
    let loaded =
        text("[loopback l]\n[artnet m]\n[lop p]\n[map]\nl.a > m.b\nm.b > p.c\np.{1..3} > l.{1..3}\n");
    assert_eq!(loaded.diagnostics.iter().count(), 2, "{}", loaded.diagnostics.render(false));
}
