//! The state file from its users' side: what was saved is there again, whatever happened to the
//! file.

use super::atomic_file::{self, Content};
use super::load::KEPT;
use super::writer::{Failures, Intervals};
use super::*;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A test that takes this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("show.state");
    (folder, path)
}

fn channel(name: &str, input: f64, output: f64) -> SavedChannel {
    SavedChannel { instance: "lights".into(), channel: name.into(), input, output }
}

fn some() -> Saved {
    Saved { channels: vec![channel("lib.dim", 0.25, 1.0), channel("ä/1", 0.0, 0.5)] }
}

fn other() -> Saved {
    Saved { channels: vec![channel("lib.dim", 0.75, 0.0)] }
}

fn frame_of(saved: &Saved) -> Vec<u8> {
    frame::encode(KIND, saved).expect("encodable")
}

fn quick() -> Intervals {
    let short = Duration::from_millis(5);
    Intervals { write: short, retry: short, warning: short, timeout: DEADLINE }
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Loads what must not be usable.
fn assert_put_aside(path: &Path) -> String {
    let loaded = load(path);
    assert_eq!(loaded.saved, Saved::default());
    assert!(!path.exists(), "the file is still there");
    loaded.warning.expect("a warning")
}

#[test]
fn what_was_saved_at_the_end_is_there_at_the_next_start() {
    let (folder, path) = folder();
    let mut state_file = StateFile::start(path.clone()).expect("a thread");
    state_file.try_put(other, Instant::now());
    state_file.finish(some);
    assert_eq!(load(&path), LoadedState { saved: some(), warning: None });
    assert_eq!(names(folder.path()), ["show.state"]);
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_missing_file_is_nothing() {
    let (_folder, path) = folder();
    assert_eq!(load(&path), LoadedState::default());
}

#[test]
fn values_are_wanted_when_one_has_changed_and_once_a_second_at_most() {
    let (_folder, path) = folder();
    let mut state_file = StateFile::start(path).expect("a thread");
    let now = Instant::now();
    assert!(!state_file.wants_values(now));
    assert_eq!(state_file.deadline(), None);
    state_file.touch();
    assert!(state_file.wants_values(now));
    while state_file.wants_values(now) {
        state_file.try_put(some, now);
    }
    assert_eq!(state_file.deadline(), None);
    state_file.touch();
    assert!(!state_file.wants_values(now + Duration::from_millis(999)));
    assert!(state_file.wants_values(now + Duration::from_secs(1)));
    assert_eq!(state_file.deadline(), Some(now + Duration::from_secs(1)));
}

#[test]
fn equal_values_are_not_written_again_unless_the_file_is_gone() {
    let (_folder, path) = folder();
    let inode = |path: &Path| fs::metadata(path).expect("a file").ino();
    StateFile::with_intervals(path.clone(), quick()).expect("a thread").finish(some);
    let before = inode(&path);
    let held = fs::File::open(&path).expect("a file");
    StateFile::with_intervals(path.clone(), quick()).expect("a thread").finish(some);
    assert_eq!(inode(&path), before);
    let state_file = StateFile::with_intervals(path.clone(), quick()).expect("a thread");
    fs::remove_file(&path).expect("removable");
    state_file.finish(some);
    assert_eq!(load(&path).saved, some());
    drop(held);
}

#[test]
fn a_folder_that_comes_later_is_written_to_then() {
    let (folder, _) = folder();
    let path = folder.path().join("later/show.state");
    let mut state_file = StateFile::with_intervals(path.clone(), quick()).expect("a thread");
    state_file.touch();
    while state_file.wants_values(Instant::now()) {
        state_file.try_put(some, Instant::now());
    }
    fs::create_dir(folder.path().join("later")).expect("a folder");
    until("the file is written", || path.exists());
    drop(state_file);
    assert_eq!(load(&path).saved, some());
}

#[test]
fn what_cannot_be_written_does_not_hold_up_the_end() {
    let mut state_file = StateFile::with_intervals("/proc/no/such/place".into(), quick()).expect("a thread");
    state_file.try_put(some, Instant::now());
    state_file.finish(other);
}

#[test]
fn nothing_but_a_file_is_replaced() {
    let (folder, path) = folder();
    fs::create_dir(&path).expect("a folder in the way");
    assert!(atomic_file::replace(&path, b"new").is_err());
    assert!(atomic_file::replace(Path::new("/"), b"new").is_err());
    let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    symlink(&pipe, &link).expect("a link");
    assert!(atomic_file::replace(&link, b"new").is_err());
    assert!(!fs::metadata(&pipe).expect("still there").is_file());
    assert_eq!(names(folder.path()), ["link", "pipe", "show.state"]);
}

#[test]
fn what_a_power_cut_left_is_cleared_away() {
    let (folder, path) = folder();
    fs::write(folder.path().join(".show.state.new-1"), "half").expect("writable");
    fs::write(folder.path().join(".other.state.new-1"), "not ours").expect("writable");
    StateFile::start(path).expect("a thread").finish(some);
    assert_eq!(names(folder.path()), [".other.state.new-1", "show.state"]);
}

#[test]
fn a_link_stays_a_link() {
    let (folder, path) = folder();
    let real = folder.path().join("real");
    fs::write(&real, frame_of(&other())).expect("writable");
    symlink(&real, &path).expect("a link");
    assert_eq!(load(&path).saved, other());
    StateFile::start(path.clone()).expect("a thread").finish(some);
    assert!(path.is_symlink());
    assert_eq!(load(&real).saved, some());
}

#[test]
fn damaged_files_are_kept_but_only_a_few() {
    let (folder, path) = folder();
    for no in 0..KEPT + 3 {
        fs::write(&path, format!("garbage {no}")).expect("writable");
        let warning = assert_put_aside(&path);
        assert!(warning.contains(".damaged-1`"), "{warning}");
    }
    assert_eq!(names(folder.path()).len(), KEPT as usize);
    let latest = fs::read_to_string(folder.path().join("show.state.damaged-1")).expect("a file");
    assert_eq!(latest, format!("garbage {}", KEPT + 2));
}

#[test]
fn what_another_version_or_program_wrote_is_put_aside() {
    let (_folder, path) = folder();
    let version = frame::Kind { version: KIND.version + 1, ..KIND };
    fs::write(&path, frame::encode(version, &some()).expect("encodable")).expect("writable");
    assert!(assert_put_aside(&path).contains("version 2"));
    fs::write(&path, frame::encode(frame::BOOT, &some()).expect("encodable")).expect("writable");
    assert_put_aside(&path);
    for value in [f64::NAN, f64::INFINITY, -0.1, 1.5] {
        let saved = Saved { channels: vec![channel("a", 0.0, value)] };
        fs::write(&path, frame_of(&saved)).expect("writable");
        assert_put_aside(&path);
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let (_folder, path) = folder();
    fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    assert_eq!(atomic_file::read(&path, 10).expect("readable"), Content::TooLarge(1 << 40));
    assert!(assert_put_aside(&path).contains("too large"));
}

#[test]
fn what_is_no_file_is_left_alone_with_a_warning() {
    let (_folder, path) = folder();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let loaded = load(&path);
    assert_eq!(loaded.saved, Saved::default());
    assert!(loaded.warning.expect("a warning").contains("not a file"));
    assert!(path.exists());
}

#[test]
fn a_file_that_is_cut_or_has_a_wrong_bit_anywhere_is_put_aside() {
    let (_folder, path) = folder();
    let whole = frame_of(&some());
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).expect("writable");
        assert_put_aside(&path);
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, bytes).expect("writable");
        assert_put_aside(&path);
    }
}

#[test]
fn a_lasting_trouble_is_told_once_a_minute() {
    let (minute, now) = (Duration::from_secs(60), Instant::now());
    let mut failures = Failures::new(minute);
    assert!(!failures.end());
    assert!(failures.begin(now));
    assert!(!failures.begin(now + minute / 2));
    assert!(failures.end());
    assert!(!failures.end());
    assert!(!failures.begin(now + minute / 2), "also when it comes and goes");
    assert!(!failures.end());
    assert!(failures.begin(now + minute));
}

fn channels() -> impl Strategy<Value = Vec<SavedChannel>> {
    let one = ("[a-z]{0,9}", ".{0,30}", 0.0..=1.0, 0.0..=1.0_f64);
    let one = one.prop_map(|(instance, name, input, output)| SavedChannel {
        instance: instance.into(),
        channel: name.into(),
        input,
        output,
    });
    prop::collection::vec(one, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_saved_comes_back_and_nothing_else_does(
        channels in channels(),
        cut in any::<prop::sample::Index>(),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let (_folder, path) = folder();
        let saved = Saved { channels };
        let whole = frame_of(&saved);
        fs::write(&path, &whole).expect("writable");
        prop_assert_eq!(load(&path), LoadedState { saved, warning: None });

        fs::write(&path, &whole[..cut.index(whole.len())]).expect("writable");
        assert_put_aside(&path);

        let mut bytes = whole.clone();
        wrong.iter().for_each(|(index, mask)| bytes[index.index(whole.len())] ^= mask);
        if bytes != whole {
            fs::write(&path, bytes).expect("writable");
            assert_put_aside(&path);
        }
    }

    #[test]
    fn garbage_is_never_taken_for_values(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_folder, path) = folder();
        fs::write(&path, garbage).expect("writable");
        assert_put_aside(&path);
    }
}
