//! A show that is read from copies of its files is the same show, wherever the files are by then.

use std::fs;

use mm_config::{Overrides, Show, load, load_copies};

use crate::backends::BACKENDS;
use crate::common::Files;

const SHOW: &[u8] = b"[loopback a]\nx = 1\n[include parts/one.cfg]\n[include ./parts/one.cfg]\n";
const PART: &[u8] = b"; caf\xe9\n[map]\na.{1..3} > a.z{1..3}\n";

/// What of a show must not depend on where it was read.
fn essence(show: &Show) -> String {
    format!("{:?}", (&show.path, &show.directory, &show.files, &show.instances, &show.mappings))
}

#[test]
fn copies_make_the_same_show_when_the_files_are_gone() {
    let files = Files::new(&[("show.cfg", SHOW), ("parts/one.cfg", PART)]);
    let path = files.path("show.cfg");
    let original = load(&path, &Overrides::default(), BACKENDS);
    assert!(!original.diagnostics.has_errors(), "{}", original.diagnostics.render(false));
    let copies = original.copies();
    assert_eq!(copies.iter().count(), 2);
    fs::write(&path, "").unwrap();
    fs::remove_dir_all(files.path("parts")).unwrap();
    let again = load_copies(&path, &copies, &Overrides::default(), BACKENDS);
    assert!(!again.diagnostics.has_errors(), "{}", again.diagnostics.render(false));
    assert_eq!(essence(&again.show), essence(&original.show));
    assert_eq!(again.copies(), copies);
}

#[test]
fn messages_name_the_original_file_and_that_a_copy_was_read() {
    let files = Files::new(&[("show.cfg", b"[loopback a]\n[map]\na.x > b.y\n")]);
    let path = files.path("show.cfg");
    let copies = load(&path, &Overrides::default(), BACKENDS).copies();
    let report = load_copies(&path, &copies, &Overrides::default(), BACKENDS).diagnostics.render(false);
    assert!(report.contains("show.cfg (kept copy):3:7"), "{report}");
}

#[test]
fn a_file_that_was_not_copied_is_missing() {
    let files = Files::new(&[("show.cfg", b"[loopback a]\n")]);
    let copies = load(&files.path("show.cfg"), &Overrides::default(), BACKENDS).copies();
    let other = load_copies(&files.path("other.cfg"), &copies, &Overrides::default(), BACKENDS);
    assert!(other.diagnostics.has_errors());
}
