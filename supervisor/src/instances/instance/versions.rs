//! Which version of the script an instance's next worker imports: the files as they are, or the
//! texts that its last worker served with.
//!
//! The files may be broken at the moment of a start that no user asked for: after a crash, or after
//! a reload that had to stop the old worker first. Then the version that worked runs again until
//! the next reload or restart. A start that a user asks for shows its error instead.

use crate::ids::WorkerId;
use crate::instances::options::ReloadRule;
use crate::instances::script_sources::{GoodScript, ScriptSources};
use crate::instances::script_worker::ScriptWorker;
use mm_shared::control::ImportMode;

/// What asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadCause {
    /// A user.
    User,
    /// A file has changed.
    FileChange,
}

/// The versions of one instance's script.
#[derive(Debug)]
pub struct Versions {
    /// The worker that was told to serve last.
    serving: Option<WorkerId>,
    /// The version of the last worker that has served and ended.
    last_good: Option<GoodScript>,
    /// The next worker imports the last good version.
    rolls_back: bool,
    /// A user has asked for the start that is under way.
    is_asked_for: bool,
    cause: ReloadCause,
    /// The worker that imports, or runs, the last good version.
    rolled_back: Option<WorkerId>,
    /// Why the last good version runs in place of the files.
    reason: Option<String>,
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            serving: None,
            last_good: None,
            rolls_back: false,
            is_asked_for: true,
            cause: ReloadCause::User,
            rolled_back: None,
            reason: None,
        }
    }
}

impl Versions {
    /// A user, or the show, wants a new start from the files.
    pub fn ask_for_start(&mut self) {
        self.is_asked_for = true;
        self.rolls_back = false;
        self.cause = ReloadCause::User;
    }

    /// The start that follows was not asked for by a user.
    pub fn expect_start(&mut self) {
        self.is_asked_for = false;
    }

    /// A reload begins, or joins one that is under way. What a user asks for counts more.
    pub fn ask_for_reload(&mut self, cause: ReloadCause, is_under_way: bool) {
        if !is_under_way || cause == ReloadCause::User {
            self.cause = cause;
        }
    }

    /// What asked for the last reload.
    pub fn cause(&self) -> ReloadCause {
        self.cause
    }

    /// The show has other modules now.
    pub fn forget(&mut self) {
        self.serving = None;
        self.last_good = None;
        self.rolls_back = false;
    }

    /// The channels are numbered in another way now.
    pub fn renumber(&mut self) {
        if let Some(good) = &mut self.last_good {
            good.handled = Default::default();
        }
    }

    /// How the worker imports that is started next, alone.
    pub fn next_alone(&mut self) -> ImportMode {
        let list =
            self.last_good.as_ref().filter(|_| self.rolls_back).and_then(|good| good.sources.complete_list());
        self.rolls_back = false;
        list.map_or(ImportMode::Alone, |list| ImportMode::LastGood(list.to_vec()))
    }

    /// How a worker imports that is started beside `main`.
    pub fn next_beside(&self, main: Option<&ScriptWorker>, rule: ReloadRule) -> ImportMode {
        let loaded = self.known_sources(main).map(|sources| sources.files().to_vec()).unwrap_or_default();
        match rule {
            ReloadRule::Overlap => ImportMode::Beside { loaded },
            ReloadRule::Restart => ImportMode::CompileOnly { loaded },
        }
    }

    /// What the last worker was loaded from, `main` if that has been told to serve.
    pub fn known_sources<'a>(&'a self, main: Option<&'a ScriptWorker>) -> Option<&'a ScriptSources> {
        let sources = main.filter(|main| self.serving == Some(main.process.id)).map(|main| &main.sources);
        sources.or(self.last_good.as_ref().map(|good| &good.sources))
    }

    /// Whether a worker imports, or runs, the last good version.
    pub fn is_last_good(&self, id: WorkerId) -> bool {
        self.rolled_back == Some(id)
    }

    /// A worker was begun.
    pub fn note_begun(&mut self, id: WorkerId, is_last_good: bool) {
        if is_last_good {
            self.rolled_back = Some(id);
        }
    }

    /// A worker serves from now on. Returns why, if it runs the last good version.
    pub fn note_serving(&mut self, id: WorkerId) -> Option<&str> {
        self.serving = Some(id);
        self.is_asked_for = false;
        if self.rolled_back != Some(id) {
            self.reason = None;
        }
        self.reason.as_deref()
    }

    /// A worker has ended; one that served last leaves its version.
    pub fn note_end(&mut self, id: WorkerId, worker: &mut ScriptWorker) {
        if self.serving == Some(id) {
            self.last_good = Some(worker.take_script());
        }
    }

    /// The version to go back to from a worker that could not start with other sources.
    pub fn alternative(&self, id: WorkerId, sources: &ScriptSources) -> Option<&GoodScript> {
        let good = self.last_good.as_ref()?;
        let is_possible = !self.is_asked_for
            && self.rolled_back != Some(id)
            && good.sources.complete_list().is_some()
            && sources.differ_from(&good.sources);
        is_possible.then_some(good)
    }

    /// The next worker imports the last good version, for this reason.
    pub fn roll_back(&mut self, reason: String) {
        self.rolls_back = true;
        self.reason = Some(reason);
    }

    /// Why the last good version runs in place of the files.
    pub fn reason(&self) -> Option<&str> {
        let runs = self.rolled_back.is_some() && self.rolled_back == self.serving;
        self.reason.as_deref().filter(|_| runs)
    }
}
