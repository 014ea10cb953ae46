//! Copies survive their way to the disk and back, and nothing else is taken for one.

use super::places::Places;
use super::*;
use crate::test_shows::show;
use mm_config::FileCopies;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const SHOW: &str = "/shows/corridor.cfg";

fn files(text: &str) -> FileCopies {
    let files = [(SHOW, text), ("/shows/map/x.map", "a.x > b.y\n")];
    files.map(|(path, text)| (PathBuf::from(path), Arc::from(text))).into_iter().collect()
}

fn places(directory: &Path) -> Places {
    Places::with_service(&show("[loopback a]\n"), Some(directory), None)
}

/// Keeps a copy and waits until it is written.
fn keep(directory: &Path, text: &str) {
    let copy = ShowCopy { path: SHOW.into(), files: files(text), places: places(directory) };
    Keeper::start().expect("a thread").keep(copy);
}

fn only_file(directory: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}

#[test]
fn a_copy_comes_back_and_the_latest_counts() {
    let directory = TempDir::new().unwrap();
    let inside = directory.path().join("made/for/it");
    keep(&inside, "first");
    keep(&inside, "second");
    let kept_in = only_file(&inside);
    let found = find(&places(&inside), Path::new(SHOW));
    assert_eq!(found.found, Some(FoundCopy { files: files("second"), kept_in }));
    assert!(found.warnings.is_empty());
}

#[test]
fn the_same_text_is_not_written_again() {
    let directory = TempDir::new().unwrap();
    keep(directory.path(), "text");
    let written = fs::metadata(only_file(directory.path())).unwrap().modified().unwrap();
    keep(directory.path(), "text");
    assert_eq!(fs::metadata(only_file(directory.path())).unwrap().modified().unwrap(), written);
}

#[test]
fn a_damaged_copy_is_put_aside_with_a_warning() {
    for damage in [|bytes: &mut Vec<u8>| bytes[40] ^= 1, |bytes: &mut Vec<u8>| bytes.truncate(30), Vec::clear]
    {
        let directory = TempDir::new().unwrap();
        keep(directory.path(), "text");
        let file = only_file(directory.path());
        let mut bytes = fs::read(&file).unwrap();
        damage(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let search = find(&places(directory.path()), Path::new(SHOW));
        assert_eq!(search.found, None);
        assert!(search.warnings[0].contains("it was renamed to"), "{:?}", search.warnings);
        assert!(only_file(directory.path()).to_string_lossy().ends_with(".damaged-1"));
    }
}

#[test]
fn shows_of_one_name_in_different_folders_do_not_share_a_copy() {
    let directory = TempDir::new().unwrap();
    keep(directory.path(), "text");
    let other = Path::new("/elsewhere/corridor.cfg");
    assert_eq!(find(&places(directory.path()), other), CopySearch::default());
    // Not even if the file is renamed to what the other one looks for.
    let file = only_file(directory.path());
    let name = places(directory.path()).files(other).next().unwrap();
    fs::rename(file, &name).unwrap();
    let search = find(&places(directory.path()), other);
    assert_eq!(search.found, None);
    assert!(
        search.warnings[0].contains("belongs to the show `/shows/corridor.cfg`"),
        "{:?}",
        search.warnings
    );
    assert!(name.exists());
}

#[test]
fn a_place_that_cannot_be_used_is_no_end() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    keep(&file, "text");
    assert_eq!(find(&places(&file), Path::new(SHOW)).found, None);
}

#[test]
fn the_command_line_then_the_show_then_its_state_file_name_the_place_and_the_service_has_one_too() {
    let with = |options: &str| show(&format!("[supervisor]\n{options}[loopback a]\n"));
    let service = Path::new("/var/lib/mm");
    let names = |show: &mm_config::Show, cli: Option<&str>| {
        let places = Places::with_service(show, cli.map(Path::new), Some(service));
        let directories =
            places.files(Path::new("/x.cfg")).filter_map(|file| Some(file.parent()?.to_owned()));
        directories.map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let own = format!("/var/lib/mm/{}", with("").name);
    assert_eq!(names(&with("state-file = /s/f\nstate-dir = /d\n"), Some("/c")), ["/c"]);
    assert_eq!(names(&with("state-file = /s/f\nstate-dir = /d\n"), None), ["/d", &own]);
    assert_eq!(names(&with("state-file = /s/f\n"), None), ["/s", &own]);
    assert_eq!(names(&with(""), None), [own.as_str()]);
    assert!(Places::with_service(&with(""), None, None).is_empty());
}

#[test]
fn the_reason_is_the_first_error_with_its_place() {
    let report = "error: unknown option `x`\n --> show.cfg:2:1\n  |\n\n1 error\n";
    assert_eq!(summary(report), "unknown option `x` (show.cfg:2:1)");
    assert_eq!(summary("warning: the show declares no instance\n  |\n"), "the show declares no instance");
    assert_eq!(summary(""), "");
}
