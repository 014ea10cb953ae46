//! The thread that finds out what has changed.

use super::folders::Folders;
use super::sight::{Backlog, Sight, What};
use super::stamp::Stamp;
use super::trail::{self, Role, Step};
use super::{BACKLOG, MAX_FILES, SETTLE};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

/// Looks at a trail, each time after having watched the last: more would mean that the folders never stand still, and
/// then the next event brings it back here.
const LOOKS: usize = 8;

/// What the thread is told.
pub(super) enum Order<K> {
    /// A key has these files from now on.
    Watch(K, Vec<PathBuf>),
    /// Something happened.
    Seen(Sight),
    /// More happened than could be told.
    LookAtAll,
    /// Something about watching went wrong.
    Trouble(String),
    /// Nobody listens any more.
    End,
    /// Somebody wants to know that it has come this far.
    #[cfg(test)]
    Ping(std::sync::mpsc::Sender<()>),
}

/// The thread's state.
pub(super) struct Patrol<K> {
    orders: Receiver<Order<K>>,
    backlog: Arc<Backlog>,
    folders: Folders,
    keys: BTreeMap<K, Watched>,
    callback: Box<dyn FnMut(K) + Send>,
}

/// The files of a key.
#[derive(Debug, Default)]
struct Watched {
    files: Vec<WatchedFile>,
    /// When something happened to them last; none when all is told.
    unquiet: Option<Instant>,
}

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    trail: Vec<Step>,
    /// As it was when it was last there, and all was told.
    stamp: Option<Stamp>,
    /// Written since, whatever its stamp says.
    written: bool,
}

impl<K: Ord + Clone> Patrol<K> {
    pub fn new(
        orders: Receiver<Order<K>>,
        backlog: Arc<Backlog>,
        folders: Folders,
        callback: Box<dyn FnMut(K) + Send>,
    ) -> Self {
        Self { orders, backlog, folders, keys: BTreeMap::new(), callback }
    }

    pub fn run(mut self) {
        loop {
            let mut next = self.wait();
            // what waits is taken in first, so that nothing counts as quiet of which there is event; but a folder with
            // endless event must not keep all others from being told
            for left in (0..BACKLOG).rev() {
                let Some(order) = next else { break };
                if !self.take(order) {
                    return;
                }
                next = if left > 0 { self.orders.try_recv().ok() } else { None };
            }
            self.tell(Instant::now());
        }
    }

    /// The next order; none when it is time to tell something.
    fn wait(&self) -> Option<Order<K>> {
        let Some(deadline) = self.deadline() else { return Some(self.orders.recv().unwrap_or(Order::End)) };
        match self.orders.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Order::End),
        }
    }

    /// Says whether to go on.
    fn take(&mut self, order: Order<K>) -> bool {
        match order {
            Order::Watch(key, files) => self.watch(key, files),
            Order::Seen(sight) => self.seen(&sight),
            Order::LookAtAll => self.look_at_all(),
            Order::Trouble(what) => tracing::warn!("watching files: {what}"),
            Order::End => return false,
            #[cfg(test)]
            Order::Ping(answer) => answer.send(()).expect("a test that waits"),
        }
        true
    }

    /// When the first key is quiet, unless something happens to it until then.
    fn deadline(&self) -> Option<Instant> {
        self.keys.values().filter_map(Watched::quiet_at).min()
    }

    fn watch(&mut self, key: K, mut paths: Vec<PathBuf>) {
        paths.sort();
        paths.dedup();
        if paths.len() > MAX_FILES {
            tracing::warn!("only {MAX_FILES} of {} files are watched for changes", paths.len());
            paths.truncate(MAX_FILES);
        }
        let Watched { mut files, unquiet } = self.keys.remove(&key).unwrap_or_default();
        files.retain(|file| paths.binary_search(&file.path).is_ok());
        paths.retain(|path| files.iter().all(|file| file.path != *path));
        let new_from = files.len();
        files.extend(paths.into_iter().map(WatchedFile::new));
        self.keys.insert(key.clone(), Watched { files, unquiet });
        self.follow(&key);
        // only now: what is written between the two is an event, and nothing that happens is neither
        let Some(watched) = self.keys.get_mut(&key) else { return };
        watched.files[new_from..].iter_mut().for_each(|file| file.stamp = Stamp::of(&file.path));
        if watched.files.is_empty() {
            self.keys.remove(&key);
        }
    }

    fn seen(&mut self, sight: &Sight) {
        self.backlog.taken();
        if sight.what == What::Gone {
            self.folders.forget(&sight.path);
        }
        let now = Instant::now();
        self.keys.values_mut().for_each(|watched| watched.see(sight, now));
    }

    fn look_at_all(&mut self) {
        self.backlog.looking();
        // the end of a folder may be among what was lost
        self.folders.forget(Path::new("/"));
        let now = Instant::now();
        self.keys.values_mut().for_each(|watched| watched.unquiet = Some(now));
    }

    /// Tells of the keys that have become quiet.
    fn tell(&mut self, now: Instant) {
        let quiet = |watched: &Watched| watched.quiet_at().is_some_and(|at| at <= now);
        let keys: Vec<K> =
            self.keys.iter().filter(|(_, watched)| quiet(watched)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.follow(&key);
            if self.keys.get_mut(&key).is_some_and(Watched::take_change) {
                (self.callback)(key);
            }
        }
    }

    /// Watches what the files of a key depend on now. What changes after a folder is watched is told by an event, so
    /// this has to go on until everything was looked at after it was watched.
    fn follow(&mut self, key: &K) {
        for _ in 0..LOOKS {
            let moved = self.keys.get_mut(key).is_some_and(Watched::look);
            let added = self.folders.set(&self.wanted());
            if !moved && !added {
                return;
            }
        }
    }

    /// The folders of all trails, and whether it matters that they are watched.
    fn wanted(&self) -> BTreeMap<PathBuf, bool> {
        let mut wanted = BTreeMap::new();
        for step in self.keys.values().flat_map(|watched| &watched.files).flat_map(|file| &file.trail) {
            *wanted.entry(step.folder.clone()).or_insert(false) |= step.role != Role::Home;
        }
        wanted
    }
}

impl Watched {
    fn quiet_at(&self) -> Option<Instant> {
        self.unquiet.map(|last| last + SETTLE)
    }

    fn see(&mut self, sight: &Sight, now: Instant) {
        for file in &mut self.files {
            if file.see(sight) {
                self.unquiet = Some(now);
            }
        }
    }

    /// Follows all paths anew. Says whether one of them leads elsewhere than before.
    fn look(&mut self) -> bool {
        let mut moved = false;
        for file in &mut self.files {
            let trail = trail::of(&file.path);
            moved |= trail != file.trail;
            file.trail = trail;
        }
        moved
    }

    /// Whether there is something to tell. From then on it is told.
    fn take_change(&mut self) -> bool {
        self.unquiet = None;
        self.files.iter_mut().map(WatchedFile::take_change).filter(|changed| *changed).count() > 0
    }
}

impl WatchedFile {
    fn new(path: PathBuf) -> Self {
        Self { path, trail: Vec::new(), stamp: None, written: false }
    }

    /// Says whether it concerns this file.
    fn see(&mut self, sight: &Sight) -> bool {
        let mut concerned = false;
        for step in &self.trail {
            if step.is(&sight.path) {
                concerned = true;
                self.written |= sight.what == What::Written && step.role == Role::File;
            }
            concerned |= sight.what == What::Gone && step.folder.starts_with(&sight.path);
        }
        concerned
    }

    fn take_change(&mut self) -> bool {
        let written = std::mem::take(&mut self.written);
        let Some(stamp) = Stamp::of(&self.path) else { return false };
        let before = self.stamp.replace(stamp);
        written || before != Some(stamp)
    }
}
