//! Real files, changed the way people and their editors do it.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;
use tempfile::TempDir;

/// Long before it a test has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder with a script, watched for the key `script`, and a file watched for the key `the end`.
struct Stage {
    watcher: Watcher<&'static str>,
    told: Receiver<&'static str>,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("scripts")).expect("a folder");
        fs::create_dir(folder.path().join("apart")).expect("a folder");
        let (tell, told) = channel();
        let watcher = Watcher::start(move |key| tell.send(key).expect("a test that listens"))
            .expect("inotify and a thread");
        let stage = Self { watcher, told, folder };
        stage.write("scripts/x.py", "one");
        stage.write("apart/end", "");
        stage.watcher.watch("the end", vec![stage.path("apart/end")]);
        stage.watch(&["scripts/x.py"]);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("writable");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("renamable");
    }

    fn watch(&self, names: &[&str]) {
        self.watcher.watch("script", names.iter().map(|name| self.path(name)).collect());
        self.catch_up();
    }

    /// Waits until the thread has done what was asked for.
    fn catch_up(&self) {
        let (answer, answered) = channel();
        self.watcher.orders.send(patrol::Order::Ping(answer)).expect("a thread");
        answered.recv_timeout(DEADLINE).expect("an answer");
    }

    fn assert_told(&self) {
        assert_eq!(self.told.recv_timeout(DEADLINE), Ok("script"));
    }

    /// What happened before would be told before.
    fn assert_nothing_told(&self) {
        self.write("apart/end", "changed");
        assert_eq!(self.told.recv_timeout(DEADLINE), Ok("the end"));
    }
}

#[test]
fn a_file_that_is_written_in_place_is_told_once() {
    let stage = Stage::new();
    stage.write("scripts/x.py", "two");
    stage.assert_told();
    stage.assert_nothing_told();
}

#[test]
fn a_file_that_is_renamed_over_is_told_again_and_again() {
    let stage = Stage::new();
    for content in ["two", "three", "four"] {
        stage.write("scripts/.x.py.swp", content);
        stage.rename("scripts/.x.py.swp", "scripts/x.py");
        stage.assert_told();
    }
    stage.assert_nothing_told();
}

#[test]
fn a_file_that_is_moved_away_and_written_anew_is_told_when_it_is_there() {
    let stage = Stage::new();
    stage.rename("scripts/x.py", "scripts/x.py~");
    stage.assert_nothing_told();
    stage.write("scripts/x.py", "two");
    stage.assert_told();
    fs::remove_file(stage.path("scripts/x.py")).expect("removable");
    stage.assert_nothing_told();
    stage.rename("scripts/x.py~", "scripts/x.py");
    stage.assert_told();
}

#[test]
fn a_file_that_is_touched_is_told() {
    let stage = Stage::new();
    let file = fs::File::options().append(true).open(stage.path("scripts/x.py")).expect("a file");
    file.set_modified(std::time::SystemTime::now() + DEADLINE).expect("a date");
    drop(file);
    stage.assert_told();
}

#[test]
fn reading_a_file_or_changing_its_rights_is_no_change() {
    let stage = Stage::new();
    fs::read(stage.path("scripts/x.py")).expect("readable");
    fs::set_permissions(stage.path("scripts/x.py"), fs::Permissions::from_mode(0o640)).expect("a mode");
    drop(fs::File::options().append(true).open(stage.path("scripts/x.py")).expect("a file"));
    stage.write("scripts/other.py", "no file of ours");
    fs::create_dir(stage.path("scripts/__pycache__")).expect("a folder");
    stage.assert_nothing_told();
}

#[test]
fn several_writes_are_one_change_once_they_are_over() {
    let stage = Stage::new();
    stage.watch(&["scripts/x.py", "scripts/y.py"]);
    let begun = Instant::now();
    loop {
        let round = Instant::now();
        for no in 0..20 {
            stage.write(if no % 2 == 0 { "scripts/x.py" } else { "scripts/y.py" }, &no.to_string());
        }
        let was_quick = round.elapsed() < SETTLE / 2;
        stage.assert_told();
        if was_quick {
            break;
        }
        // this machine was too busy to write them all before it got quiet
        assert!(begun.elapsed() < DEADLINE, "never 20 writes in a row");
        while stage.told.recv_timeout(SETTLE * 5).is_ok() {}
    }
    stage.assert_nothing_told();
}

#[test]
fn what_a_link_leads_to_is_watched_and_so_is_the_link() {
    let stage = Stage::new();
    for release in ["r1", "r2"] {
        fs::create_dir(stage.path(release)).expect("a folder");
        stage.write(&format!("{release}/x.py"), release);
    }
    let point_to = |release: &str| {
        symlink(release, stage.path("next")).expect("a link");
        stage.rename("next", "current");
    };
    point_to("r1");
    stage.watch(&["current/x.py"]);
    stage.write("r1/x.py", "better");
    stage.assert_told();
    point_to("r2");
    stage.assert_told();
    stage.write("r1/x.py", "nobody's any more");
    stage.assert_nothing_told();
    stage.write("r2/x.py", "better");
    stage.assert_told();
}

#[test]
fn a_folder_that_comes_later_or_again_is_watched_then() {
    let stage = Stage::new();
    stage.watch(&["later/on/x.py"]);
    fs::create_dir_all(stage.path("later/on")).expect("folders");
    stage.write("later/on/x.py", "one");
    stage.assert_told();
    stage.rename("later", "before");
    stage.write("before/on/x.py", "nobody's any more");
    fs::create_dir_all(stage.path("later/on")).expect("folders");
    stage.assert_nothing_told();
    stage.write("later/on/x.py", "two");
    stage.assert_told();
    fs::remove_dir_all(stage.path("later/on")).expect("removable");
    fs::create_dir(stage.path("later/on")).expect("a folder");
    stage.write("later/on/x.py", "three");
    stage.assert_told();
    stage.write("later/on/x.py", "four");
    stage.assert_told();
}

#[test]
fn a_key_has_the_files_that_were_named_last() {
    let stage = Stage::new();
    stage.write("scripts/y.py", "one");
    stage.assert_nothing_told();
    stage.watch(&["scripts/y.py"]);
    stage.write("scripts/x.py", "two");
    stage.assert_nothing_told();
    stage.write("scripts/y.py", "two");
    stage.assert_told();
    stage.watcher.unwatch("script");
    stage.catch_up();
    stage.write("scripts/y.py", "three");
    stage.assert_nothing_told();
}

#[test]
fn naming_the_files_again_loses_no_change() {
    let stage = Stage::new();
    stage.write("scripts/x.py", "two");
    stage.watch(&["scripts/x.py", "scripts/y.py"]);
    stage.assert_told();
}

#[test]
fn a_file_of_two_keys_is_told_to_both() {
    let stage = Stage::new();
    stage.watcher.watch("second", vec![stage.path("scripts/x.py")]);
    stage.catch_up();
    stage.write("scripts/x.py", "two");
    let mut told: Vec<_> = (0..2).filter_map(|_| stage.told.recv_timeout(DEADLINE).ok()).collect();
    told.sort_unstable();
    assert_eq!(told, ["script", "second"]);
}

#[test]
fn when_more_happened_than_could_be_told_everything_is_looked_at() {
    let stage = Stage::new();
    stage.write("scripts/x.py", "two");
    stage.assert_told();
    stage.watcher.orders.send(patrol::Order::LookAtAll).expect("a thread");
    stage.assert_nothing_told();
    stage.write("scripts/x.py", "three");
    stage.assert_told();
}

#[test]
fn the_thread_ends_with_the_watcher() {
    let Stage { watcher, told, folder: _folder } = Stage::new();
    drop(watcher);
    // the callback owns the other end, so it is gone with the thread
    assert_eq!(told.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
}
