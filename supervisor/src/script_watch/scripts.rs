//! Which instances depend on which files, and whose files have changed since they were last
//! reported.

use super::file_id::FileId;
use super::{FILE_LIMIT, INCOMPLETE_TIMEOUT, QUIET_TIME, QUIET_TIME_UNKNOWN, WRITER_TIMEOUT};
use mm_shared::source_files;
use mm_shared::sys::writers::{Writers, is_open_for_writing};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// All watched files, each once, and the instances that depend on them.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    files: HashMap<PathBuf, WatchedFile>,
    instances: BTreeMap<String, LoadedFiles>,
    /// There may be files in `files` on which no instance depends any more.
    has_leftovers: bool,
}

/// The files of an instance as they were when it was last reported, or when they were first seen.
type LoadedFiles = BTreeMap<PathBuf, Option<FileId>>;

/// A file at the last look; `id` is `None` while there is no such file.
#[derive(Debug)]
struct WatchedFile {
    id: Option<FileId>,
    /// The look that found it like this for the first time.
    since: Instant,
}

impl Scripts {
    /// Makes `paths` the files of an instance. Changes of files that it had before are still
    /// reported, and those of others since their texts of the list `loaded` were read.
    pub fn watch(&mut self, instance: String, mut paths: Vec<PathBuf>, loaded: &[u8], now: Instant) {
        paths.sort();
        paths.dedup();
        if paths.len() > FILE_LIMIT {
            tracing::warn!(
                event = "script_files_ignored",
                instance = %instance,
                "only {FILE_LIMIT} of {} script files are watched",
                paths.len()
            );
            paths.truncate(FILE_LIMIT);
        }
        let mut before = self.instances.remove(&instance).unwrap_or_default();
        self.has_leftovers = true;
        if paths.is_empty() {
            return;
        }
        let texts: HashMap<&Path, &[u8]> =
            source_files::files(loaded).flatten().filter_map(|file| Some((file.path, file.text?))).collect();
        let files = paths.into_iter().map(|path| {
            let loaded = before.remove(&path).unwrap_or_else(|| {
                let id = self.look_at(&path, now);
                id.filter(|_| texts.get(path.as_path()).is_none_or(|text| holds(&path, text)))
            });
            (path, loaded)
        });
        let files = files.collect();
        self.instances.insert(instance, files);
    }

    /// Looks at every file once. Returns the instances whose files have changed and are complete.
    pub fn look(&mut self, now: Instant) -> Vec<String> {
        if std::mem::take(&mut self.has_leftovers) {
            let used: HashSet<&PathBuf> = self.instances.values().flat_map(BTreeMap::keys).collect();
            self.files.retain(|path, _| used.contains(path));
        }
        for (path, file) in &mut self.files {
            file.update(FileId::of(path), now);
        }
        let files = &self.files;
        let changed = self.instances.iter_mut().filter_map(|(instance, loaded)| {
            let has_changed = is_ready(loaded, files, now);
            if has_changed {
                load(loaded, files);
            }
            has_changed.then(|| instance.clone())
        });
        changed.collect()
    }

    fn look_at(&mut self, path: &Path, now: Instant) -> Option<FileId> {
        let id = FileId::of(path);
        match self.files.get_mut(path) {
            Some(file) => file.update(id, now),
            None => {
                self.files.insert(path.to_owned(), WatchedFile { id, since: now });
            }
        }
        id
    }
}

impl WatchedFile {
    fn update(&mut self, id: Option<FileId>, now: Instant) {
        if self.id != id {
            *self = Self { id, since: now };
        }
    }

    /// Whether a write may still be going on, as far as one can tell from outside.
    fn is_settling(&self, path: &Path, loaded: Option<FileId>, now: Instant) -> bool {
        if self.id == loaded {
            return false;
        }
        let quiet = now.saturating_duration_since(self.since);
        let had_content = loaded.is_some_and(|id| !id.is_empty());
        let is_incomplete = had_content && self.id.is_none_or(|id| id.is_empty());
        if quiet < QUIET_TIME || (is_incomplete && quiet < INCOMPLETE_TIMEOUT) {
            return true;
        }
        quiet < WRITER_TIMEOUT
            && match is_open_for_writing(path) {
                Writers::Some => true,
                Writers::None => false,
                Writers::Unknown => quiet < QUIET_TIME_UNKNOWN,
            }
    }
}

/// Whether a file holds this text. One that cannot be read is taken for unchanged.
fn holds(path: &Path, text: &[u8]) -> bool {
    fs::read(path).map_or(true, |found| found == text)
}

/// Whether a file has changed and none of them is still being written. A missing file is not a
/// change: there would be nothing to load.
fn is_ready(loaded: &LoadedFiles, files: &HashMap<PathBuf, WatchedFile>, now: Instant) -> bool {
    let mut has_changed = false;
    for (path, loaded) in loaded {
        let Some(file) = files.get(path) else { continue };
        if file.is_settling(path, *loaded, now) {
            return false;
        }
        has_changed |= file.id.is_some() && file.id != *loaded;
    }
    has_changed
}

/// The instance is about to load its files as they are now.
fn load(loaded: &mut LoadedFiles, files: &HashMap<PathBuf, WatchedFile>) {
    for (path, loaded) in loaded {
        if let Some(id) = files.get(path).and_then(|file| file.id) {
            *loaded = Some(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;
    use tempfile::TempDir;

    /// A folder with one script of the instance `py`; time passes only where a test says so.
    struct Fixture {
        scripts: Scripts,
        folder: TempDir,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let mut fixture = Self { scripts: Scripts::default(), folder, now: Instant::now() };
            fixture.write("x.py", "one");
            fixture.watch("py", &["x.py"]);
            assert_eq!(fixture.look_after(Duration::ZERO), [""; 0]);
            fixture
        }

        fn watch(&mut self, instance: &str, names: &[&str]) {
            let paths = names.iter().map(|name| self.folder.path().join(name)).collect();
            self.scripts.watch(instance.to_owned(), paths, &[], self.now);
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.folder.path().join(name), content).expect("writable");
        }

        fn look_after(&mut self, time: Duration) -> Vec<String> {
            self.now += time;
            self.scripts.look(self.now)
        }
    }

    const ALMOST_QUIET: Duration = QUIET_TIME.saturating_sub(Duration::from_millis(1));

    #[test]
    fn a_file_that_is_written_slowly_is_reported_once_when_it_is_whole() {
        let mut fixture = Fixture::new();
        for length in 1..20 {
            fixture.write("x.py", &"line\n".repeat(length));
            assert_eq!(fixture.look_after(ALMOST_QUIET), [""; 0], "still growing");
        }
        assert_eq!(fixture.look_after(QUIET_TIME), ["py"]);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
    }

    #[test]
    fn a_file_that_is_saved_empty_is_reported_once_it_has_content_again() {
        let mut fixture = Fixture::new();
        fixture.write("x.py", "");
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0], "quiet, but empty");
        fixture.write("x.py", "the whole script");
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0], "seen for the first time");
        assert_eq!(fixture.look_after(QUIET_TIME), ["py"]);
    }

    #[test]
    fn a_file_that_stays_empty_is_reported_after_a_while() {
        let mut fixture = Fixture::new();
        fixture.write("x.py", "");
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
        assert_eq!(fixture.look_after(INCOMPLETE_TIMEOUT), ["py"]);
        assert_eq!(fixture.look_after(INCOMPLETE_TIMEOUT), [""; 0]);
    }

    #[test]
    fn a_file_that_is_missing_delays_the_change_of_another_for_a_while() {
        let mut fixture = Fixture::new();
        fixture.write("y.py", "one");
        fixture.watch("py", &["x.py", "y.py", "never-there.py"]);
        fixture.write("x.py", "longer than before");
        fs::remove_file(fixture.folder.path().join("y.py")).expect("removable");
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0], "`y.py` may be on its way");
        assert_eq!(fixture.look_after(INCOMPLETE_TIMEOUT), ["py"]);
        fixture.write("y.py", "longer than before");
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
        assert_eq!(fixture.look_after(QUIET_TIME), ["py"]);
    }

    #[test]
    fn a_file_that_a_process_has_open_for_writing_is_reported_when_it_is_closed() {
        let mut fixture = Fixture::new();
        let path = fixture.folder.path().join("x.py");
        let mut writer = fs::File::create(&path).expect("writable");
        for part in 0..4 {
            writer.write_all(b"some lines\n").expect("writable");
            assert_eq!(fixture.look_after(QUIET_TIME), [""; 0], "part {part}");
            assert_eq!(fixture.look_after(WRITER_TIMEOUT / 2), [""; 0], "quiet, but open");
        }
        drop(writer);
        assert_eq!(fixture.look_after(Duration::ZERO), ["py"]);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
    }

    #[test]
    fn a_file_that_has_changed_between_its_import_and_the_watch_is_reported() {
        let mut fixture = Fixture::new();
        fixture.write("y.py", "changed since");
        fixture.write("z.py", "the same");
        let paths = ["x.py", "y.py", "z.py"].map(|name| fixture.folder.path().join(name));
        let mut loaded = Vec::new();
        for (path, text) in paths.iter().zip(["one", "as loaded", "the same"]) {
            source_files::SourceFile { path, text: Some(text.as_bytes()) }.append_to(&mut loaded);
        }
        fixture.scripts.watch("py".to_owned(), paths.to_vec(), &loaded, fixture.now);
        assert_eq!(fixture.look_after(QUIET_TIME), ["py"]);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
    }

    #[test]
    fn a_writer_that_writes_nothing_is_not_waited_for_without_end() {
        let mut fixture = Fixture::new();
        let mut writer = fs::File::create(fixture.folder.path().join("x.py")).expect("writable");
        writer.write_all(b"some lines").expect("writable");
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
        assert_eq!(fixture.look_after(WRITER_TIMEOUT), ["py"]);
        drop(writer);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
    }

    #[test]
    fn a_file_of_several_instances_is_one_entry() {
        let mut fixture = Fixture::new();
        fixture.watch("second", &["x.py"]);
        assert_eq!(fixture.scripts.files.len(), 1);
        fixture.watch("py", &["y.py"]);
        fixture.watch("second", &[]);
        assert_eq!(fixture.look_after(QUIET_TIME), [""; 0]);
        let left: Vec<_> = fixture.scripts.files.keys().filter_map(|path| path.file_name()).collect();
        assert_eq!(left, ["y.py"]);
    }
}
