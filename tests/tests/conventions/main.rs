//! The tree keeps its own rules.

mod documents;
mod imports;
mod names;

use mm_tests::binaries::{files, workspace};
use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a file.
const LINE_LIMIT: usize = 500;

/// All Rust files of the workspace, with their texts.
fn sources() -> Vec<(PathBuf, String)> {
    let folders = ["config", "shared", "worker", "supervisor", "tests"];
    let paths = folders.iter().flat_map(|folder| files(&workspace().join(folder), ".rs"));
    paths.map(|path| (path.clone(), fs::read_to_string(path).unwrap_or_default())).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}

/// The files that break a rule, by name.
fn offenders(breaks: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let sources = sources().into_iter().map(|(path, text)| (name(&path), text));
    sources.filter(|(name, text)| breaks(name, text)).map(|(name, _)| name).collect()
}

/// The code without its comments, roughly: enough to look for a word.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

#[test]
fn the_sources_are_found() {
    assert!(sources().len() > 50);
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    assert_eq!(offenders(|_, text| !text.starts_with("//! ")), Vec::<String>::new());
}

#[test]
fn no_file_is_too_long() {
    assert_eq!(offenders(|_, text| text.lines().count() > LINE_LIMIT), Vec::<String>::new());
}

#[test]
fn unsafe_code_stands_in_shared_and_worker_only() {
    let breaks = |name: &str, text: &str| {
        let outside = ["config/", "supervisor/"].iter().any(|folder| name.starts_with(folder));
        outside && code(text).replace("unsafe_code", "").contains("unsafe")
    };
    assert_eq!(offenders(breaks), Vec::<String>::new());
    for root in ["config/src/lib.rs", "supervisor/src/lib.rs"] {
        let text = fs::read_to_string(workspace().join(root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root} does not forbid unsafe code");
    }
}

#[test]
fn tests_wait_for_conditions_and_never_just_sleep() {
    let breaks = |name: &str, text: &str| {
        // programs that measure, or play a part beside the show, keep time
        let folders = ["tests/tests/", "tests/src/", "worker/tests/", "shared/tests/"];
        let is_test = folders.iter().any(|folder| name.starts_with(folder));
        let keeps_time = ["tests/src/wait.rs", "worker/tests/behaviour/rig.rs", "shared/tests/process.rs"]
            .contains(&name)
            || name.starts_with("tests/src/bin/");
        is_test && !keeps_time && code(text).contains("thread::sleep")
    };
    let this = "tests/tests/conventions/main.rs".to_owned();
    assert_eq!(offenders(breaks).into_iter().filter(|name| *name != this).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn nothing_but_what_shows_the_time_looks_at_the_wall_clock() {
    // The log, the monitor's events, and when a worker ended.
    let known = [
        "supervisor/src/control/client/mod.rs",
        "supervisor/src/control/monitors.rs",
        "supervisor/src/instances/exit.rs",
        "supervisor/src/instances/history.rs",
        "supervisor/src/log/record.rs",
    ];
    let breaks = |name: &str, text: &str| {
        let clocks = ["SystemTime::now", "Timestamp::now", "Zoned::now", "CLOCK_REALTIME"];
        let program = ["config/src", "shared/src", "supervisor/src", "worker/src"];
        let is_test = name.ends_with("tests.rs") || known.contains(&name);
        program.iter().any(|folder| name.starts_with(folder))
            && !is_test
            && clocks.iter().any(|clock| code(text).contains(clock))
    };
    assert_eq!(offenders(breaks), [""; 0]);
}

#[test]
fn every_log_line_begins_with_the_name_of_its_event() {
    let is_name = |name: &str| {
        let mut words = name.split('_');
        let is_word = |word: &str| word.starts_with(|c: char| c.is_ascii_lowercase());
        name.contains('_') && words.all(is_word) && !name.contains(|c: char| c.is_ascii_uppercase())
    };
    let is_named = |arguments: &str| {
        let arguments = arguments.trim_start();
        let arguments = arguments.strip_prefix("target: SCRIPT,").unwrap_or(arguments).trim_start();
        let Some(event) = arguments.strip_prefix("event = ") else { return false };
        // An expression chooses between names.
        event.strip_prefix('"').is_none_or(|name| name.split('"').next().is_some_and(is_name))
    };
    let breaks = |name: &str, text: &str| {
        let text = code(text);
        let applies = name.starts_with("supervisor/src/") && !name.ends_with("log/tests.rs");
        let lines = ["error", "warn", "info", "debug", "trace"].map(|level| format!("{level}!("));
        let mut lines = lines.iter().flat_map(|line| text.split(line.as_str()).skip(1));
        applies && lines.any(|arguments| !is_named(arguments))
    };
    assert_eq!(offenders(breaks), [""; 0]);
}

#[test]
fn tests_match_log_lines_by_their_events() {
    // The text format itself, and programs other than the supervisor.
    let text_is_the_subject = ["tests/tests/e2e/logs.rs", "tests/tests/midi/"];
    let breaks = |name: &str, text: &str| {
        let applies = name.starts_with("tests/tests/")
            && !name.starts_with("tests/tests/conventions/")
            && !text_is_the_subject.iter().any(|subject| name.starts_with(subject));
        let text: String = code(text).split_whitespace().collect();
        let takes_text = |arguments: &str| {
            let arguments = arguments.split(')').next().unwrap_or_default();
            arguments.starts_with("&[") || arguments.contains(",&[")
        };
        let calls = [".wait_for(", ".wait_for_nth(", ".count(", ".last("];
        applies && calls.iter().any(|call| text.split(call).skip(1).any(takes_text))
    };
    assert_eq!(offenders(breaks), [""; 0]);
}

#[test]
fn unit_tests_in_files_of_their_own_are_placed_in_one_way() {
    let breaks = |name: &str, text: &str| {
        let in_crate = ["config/src/", "shared/src/", "worker/src/", "supervisor/src/"];
        in_crate.iter().any(|folder| name.starts_with(folder))
            && (name.ends_with("_tests.rs") || code(text).contains("#[path"))
    };
    assert_eq!(offenders(breaks), [""; 0]);
}

#[test]
fn nothing_is_left_to_be_done_later() {
    let words = ["TODO", "FIXME", "todo!(", "unimplemented!("];
    let this = "tests/tests/conventions/main.rs";
    let breaks = |name: &str, text: &str| name != this && words.iter().any(|word| text.contains(word));
    assert_eq!(offenders(breaks), Vec::<String>::new());
}

#[test]
fn the_top_of_the_tree_holds_what_belongs_there() {
    let known = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "Makefile",
        "README.md",
        "STYLE.md",
        "clippy.toml",
        "config",
        "deny.toml",
        "rustfmt.toml",
        "shared",
        "supervisor",
        "target",
        "tests",
        "worker",
    ];
    let entries = fs::read_dir(workspace()).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let strangers: Vec<_> =
        names.filter(|name| !name.starts_with('.') && !known.contains(&name.as_str())).collect();
    assert_eq!(strangers, Vec::<String>::new());
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let forbidden = [
        ("config", ["mm-shared", "mm-supervisor", "mm-worker"].as_slice()),
        ("shared", &["mm-config", "mm-supervisor", "mm-worker", "pyo3"]),
        ("worker", &["mm-config", "mm-supervisor"]),
        ("supervisor", &["mm-worker", "pyo3"]),
        ("tests", &["mm-config", "mm-shared", "mm-supervisor", "mm-worker", "pyo3"]),
    ];
    for (folder, strangers) in forbidden {
        let manifest = fs::read_to_string(workspace().join(folder).join("Cargo.toml")).unwrap();
        let dependencies = manifest.lines().skip_while(|line| !line.contains("dependencies]"));
        let names: Vec<&str> = dependencies.filter_map(|line| line.split(['.', ' ', '=']).next()).collect();
        for stranger in strangers {
            assert!(!names.contains(stranger), "{folder} depends on {stranger}");
        }
    }
}
