//! Files that cannot be read, and includes that never end.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mm_config::{Overrides, load};

use crate::backends::BACKENDS;
use crate::common::{Files, valid};

#[test]
fn show_files_that_cannot_be_read() {
    let files = Files::new(&[
        ("show.cfg", b""),
        ("directory/x", b""),
        ("binary", b"[map]\n\x7fELF\x02\0\0"),
        ("utf16", b"\xff\xfe[\0m\0a\0p\0]\0"),
    ]);
    symlink(files.path("loop"), files.path("loop")).unwrap();
    fs::write(files.path("huge"), vec![b'\n'; (16 << 20) + 1]).unwrap();
    let names = ["shwo.cfg", "nothing", "no/such/show.cfg", "directory", "binary", "utf16", "loop", "huge"];
    insta::assert_snapshot!(names.map(|name| files.render(name)).join("\n"));
}

#[test]
fn includes_that_cannot_be_read_do_not_hide_other_errors() {
    let files = Files::new(&[
        (
            "show.cfg",
            b"[include parts]\n[include nothing]\n[include parts/shw.map]\n[include binary]\n[include /dev/zero]\nstray\n",
        ),
        ("parts/show.map", b""),
        ("binary", b"\0"),
    ]);
    insta::assert_snapshot!(files.render("show.cfg"));
}

#[test]
fn a_file_without_permission_is_named() {
    let files = Files::new(&[("show.cfg", b"")]);
    fs::set_permissions(files.path("show.cfg"), fs::Permissions::from_mode(0o000)).unwrap();
    // Permissions do not stop the superuser.
    if fs::File::open(files.path("show.cfg")).is_err() {
        assert!(files.render("show.cfg").contains("cannot read `show.cfg`: Permission denied"));
    }
}

#[test]
fn an_include_cycle_names_the_chain() {
    let files = Files::new(&[
        ("show.cfg", b"[include map/a.map]\n[include show.cfg]\n"),
        ("map/a.map", b"\n  [include b.map]\n"),
        ("map/b.map", b"; back\n[include ../show.cfg]\n[include ./a.map]\n"),
    ]);
    insta::assert_snapshot!(files.render("show.cfg"));
}

#[test]
fn a_cycle_through_a_link_is_recognised() {
    let files = Files::new(&[("show.cfg", b"[include other.cfg]\n")]);
    symlink(files.path("show.cfg"), files.path("other.cfg")).unwrap();
    assert!(files.render("show.cfg").contains("`other.cfg` includes itself"));
}

#[test]
fn includes_are_bounded_in_depth_and_in_number() {
    let deep: Vec<(String, String)> =
        (0..40).map(|level| (format!("{level}"), format!("[include {}]\n", level + 1))).collect();
    let borrowed: Vec<(&str, &[u8])> =
        deep.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    assert!(Files::new(&borrowed).render("0").contains("includes are nested deeper than 32"));

    let twice: Vec<(String, String)> = (0..20)
        .map(|level| (format!("{level}"), format!("[include {0}]\n[include {0}]\n", level + 1)))
        .collect();
    let mut borrowed: Vec<(&str, &[u8])> =
        twice.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    borrowed.push(("20", b"[map]\n"));
    assert!(Files::new(&borrowed).render("0").contains("the show has more than 4096 files"));
}

#[test]
fn an_overlong_line_is_an_error_that_does_not_echo_it() {
    let mut show = b"[loopback l]\n".to_vec();
    show.extend(std::iter::repeat_n(b'x', 10 << 20));
    show.extend_from_slice(b"\nstray\n[map]\nl.a > l.b\n");
    let files = Files::new(&[("show.cfg", &show)]);
    insta::assert_snapshot!(files.render("show.cfg"));
    assert_eq!(files.load("show.cfg").show.mappings.len(), 1);
}

#[test]
fn a_long_line_with_an_error_is_shown_in_part() {
    let line = format!("[loopback l]\n[map]\nl.{} > l.{{1..\n", "x".repeat(60_000));
    let rendered = Files::new(&[("show.cfg", line.as_bytes())]).render("show.cfg");
    assert!(rendered.len() < 2000, "{} bytes", rendered.len());
}

#[test]
fn a_line_that_is_no_utf8_is_said_once_and_the_others_are_read() {
    let files = Files::new(&[(
        "show.cfg",
        b"[loopback l]\nna\xefve = \xff\xff\n[map]\n; \xff\nl.\xe4 > l.x\nl.a > l.b\n",
    )]);
    insta::assert_snapshot!(files.render("show.cfg"));
}

#[test]
fn paths_are_shown_as_the_user_gave_them() {
    let missing = load(Path::new("./no/such.cfg"), &Overrides::default(), BACKENDS);
    assert!(
        missing
            .diagnostics
            .render(false)
            .starts_with("error: cannot read `./no/such.cfg`: it does not exist")
    );
}

#[test]
fn an_empty_file_is_a_show() {
    assert!(valid(Files::new(&[("show.cfg", b"")]).load("show.cfg")).instances.is_empty());
}
