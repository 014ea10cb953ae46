//! Real files, changed the way people and their editors do it.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use tempfile::TempDir;

/// A test that takes this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder with a script of the instance `script`, and a file of the instance `the end`.
struct Fixture {
    watch: ScriptWatch,
    reports: Receiver<String>,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("scripts")).expect("a folder");
        fs::create_dir(folder.path().join("apart")).expect("a folder");
        let (sender, reports) = channel();
        let watch = ScriptWatch::new(move |instance| sender.send(instance).expect("a test that receives"));
        let mut fixture = Self { watch, reports, folder };
        // Longer than what tests write: the times of two writes within a few milliseconds may be
        // equal.
        fixture.write("scripts/x.py", "the first version");
        fixture.write("apart/end", "");
        fixture.watch.watch("the end", vec![fixture.path("apart/end")], Vec::new());
        fixture.watch(&["scripts/x.py"]);
        fixture
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

    fn watch(&mut self, names: &[&str]) {
        let files = names.iter().map(|name| self.folder.path().join(name)).collect();
        self.watch.watch("script", files, Vec::new());
        self.catch_up();
    }

    /// Waits until the thread has done what was asked for.
    fn catch_up(&self) {
        let (done, is_done) = channel();
        assert!(self.watch.thread.is_running(), "a thread");
        self.watch.thread.send(Command::Barrier(done));
        is_done.recv_timeout(DEADLINE).expect("an answer");
    }

    fn next_report(&self) -> String {
        self.reports.recv_timeout(DEADLINE).expect("a report")
    }

    fn assert_reported(&self) {
        assert_eq!(self.next_report(), "script");
    }

    /// An earlier change would be reported earlier.
    fn assert_nothing_reported(&self) {
        self.write("apart/end", "changed");
        assert_eq!(self.next_report(), "the end");
    }
}

#[test]
fn a_file_that_is_written_in_place_is_told_once() {
    let fixture = Fixture::new();
    fixture.write("scripts/x.py", "two");
    fixture.assert_reported();
    fixture.assert_nothing_reported();
}

#[test]
fn a_file_that_is_renamed_over_is_told_again_and_again() {
    let fixture = Fixture::new();
    for content in ["two", "three", "four"] {
        fixture.write("scripts/.x.py.swp", content);
        fixture.rename("scripts/.x.py.swp", "scripts/x.py");
        fixture.assert_reported();
    }
    fixture.assert_nothing_reported();
}

#[test]
fn a_file_that_is_moved_away_and_written_anew_is_told_when_it_is_there() {
    let fixture = Fixture::new();
    fixture.rename("scripts/x.py", "scripts/x.py~");
    fixture.assert_nothing_reported();
    fixture.write("scripts/x.py", "two");
    fixture.assert_reported();
    fs::remove_file(fixture.path("scripts/x.py")).expect("removable");
    fixture.assert_nothing_reported();
    fixture.rename("scripts/x.py~", "scripts/x.py");
    fixture.assert_reported();
}

#[test]
fn a_file_that_is_touched_is_told() {
    let fixture = Fixture::new();
    let file = fs::File::options().append(true).open(fixture.path("scripts/x.py")).expect("a file");
    file.set_modified(std::time::SystemTime::now() + DEADLINE).expect("a date");
    drop(file);
    fixture.assert_reported();
}

#[test]
fn reading_a_file_or_changing_its_rights_is_no_change() {
    let fixture = Fixture::new();
    fs::read(fixture.path("scripts/x.py")).expect("readable");
    fs::set_permissions(fixture.path("scripts/x.py"), fs::Permissions::from_mode(0o640)).expect("a mode");
    drop(fs::File::options().append(true).open(fixture.path("scripts/x.py")).expect("a file"));
    fixture.write("scripts/other.py", "not a watched file");
    fs::create_dir(fixture.path("scripts/__pycache__")).expect("a folder");
    fixture.assert_nothing_reported();
}

#[test]
fn several_writes_are_one_change_once_they_are_over() {
    let mut fixture = Fixture::new();
    fixture.watch(&["scripts/x.py", "scripts/y.py"]);
    let begun = Instant::now();
    loop {
        let round = Instant::now();
        for no in 0..20 {
            fixture.write(if no % 2 == 0 { "scripts/x.py" } else { "scripts/y.py" }, &no.to_string());
        }
        let was_quick = round.elapsed() < QUIET_TIME / 2;
        fixture.assert_reported();
        if was_quick {
            break;
        }
        // this machine was too busy to write them all before it got quiet
        assert!(begun.elapsed() < DEADLINE, "never 20 writes in a row");
        while fixture.reports.recv_timeout(QUIET_TIME * 5).is_ok() {}
    }
    fixture.assert_nothing_reported();
}

#[test]
fn what_a_link_leads_to_is_watched_and_so_is_the_link() {
    let mut fixture = Fixture::new();
    for release in ["r1", "r2"] {
        fs::create_dir(fixture.path(release)).expect("a folder");
        fixture.write(&format!("{release}/x.py"), release);
    }
    let folder = fixture.folder.path().to_owned();
    let point_to = |release: &str| {
        symlink(release, folder.join("next")).expect("a link");
        fs::rename(folder.join("next"), folder.join("current")).expect("renamable");
    };
    point_to("r1");
    fixture.watch(&["current/x.py"]);
    fixture.write("r1/x.py", "better");
    fixture.assert_reported();
    point_to("r2");
    fixture.assert_reported();
    fixture.write("r1/x.py", "not watched any more");
    fixture.assert_nothing_reported();
    fixture.write("r2/x.py", "better");
    fixture.assert_reported();
}

#[test]
fn a_folder_that_comes_later_or_again_is_watched_then() {
    let mut fixture = Fixture::new();
    fixture.watch(&["later/on/x.py"]);
    fs::create_dir_all(fixture.path("later/on")).expect("folders");
    fixture.write("later/on/x.py", "one");
    fixture.assert_reported();
    fixture.rename("later", "before");
    fixture.write("before/on/x.py", "not watched any more");
    fs::create_dir_all(fixture.path("later/on")).expect("folders");
    fixture.assert_nothing_reported();
    fixture.write("later/on/x.py", "two");
    fixture.assert_reported();
    fs::remove_dir_all(fixture.path("later/on")).expect("removable");
    fs::create_dir(fixture.path("later/on")).expect("a folder");
    fixture.write("later/on/x.py", "three");
    fixture.assert_reported();
    fixture.write("later/on/x.py", "four");
    fixture.assert_reported();
}

#[test]
fn a_key_has_the_files_that_were_named_last() {
    let mut fixture = Fixture::new();
    fixture.write("scripts/y.py", "one");
    fixture.assert_nothing_reported();
    fixture.watch(&["scripts/y.py"]);
    fixture.write("scripts/x.py", "two");
    fixture.assert_nothing_reported();
    fixture.write("scripts/y.py", "two");
    fixture.assert_reported();
    fixture.watch.unwatch("script");
    fixture.catch_up();
    fixture.write("scripts/y.py", "three");
    fixture.assert_nothing_reported();
}

#[test]
fn naming_the_files_again_loses_no_change() {
    let mut fixture = Fixture::new();
    fixture.write("scripts/x.py", "two");
    fixture.watch(&["scripts/x.py", "scripts/y.py"]);
    fixture.assert_reported();
}

#[test]
fn a_file_of_two_keys_is_told_to_both() {
    let mut fixture = Fixture::new();
    fixture.watch.watch("second", vec![fixture.path("scripts/x.py")], Vec::new());
    fixture.catch_up();
    fixture.write("scripts/x.py", "two");
    let mut reports: Vec<_> = (0..2).map(|_| fixture.next_report()).collect();
    reports.sort_unstable();
    assert_eq!(reports, ["script", "second"]);
}

#[test]
fn a_link_to_itself_leads_to_no_file() {
    let mut fixture = Fixture::new();
    symlink("round.py", fixture.path("scripts/round.py")).expect("a link");
    fixture.watch(&["scripts/round.py", "scripts/x.py"]);
    fixture.assert_nothing_reported();
    fixture.write("scripts/x.py", "two");
    fixture.assert_reported();
}

#[test]
fn the_thread_ends_with_the_watch() {
    let Fixture { watch, reports, folder: _folder } = Fixture::new();
    drop(watch);
    // The callback owns the other end, and the thread owns the callback.
    assert_eq!(reports.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn the_thread_ends_with_the_last_instance_and_starts_with_the_next() {
    let mut fixture = Fixture::new();
    fixture.watch.unwatch("script");
    assert!(fixture.watch.thread.is_running(), "`the end` is still watched");
    fixture.watch.unwatch("the end");
    assert!(!fixture.watch.thread.is_running());
    fixture.watch.watch("the end", vec![fixture.path("apart/end")], Vec::new());
    fixture.watch(&["scripts/x.py"]);
    fixture.write("scripts/x.py", "two");
    fixture.assert_reported();
}
