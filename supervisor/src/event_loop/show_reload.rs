//! HUP: the show file is read again, and what it describes now takes the place of the running show.

use super::state_file::SharedNames;
use super::{EventLoop, Phase};
use crate::control::name_index::NameIndex;
use crate::event_loop::message::LoopMessage;
use crate::router::cycles::{self, LoopMonitor};
use crate::show_reload::{self, LoadedShow};
use mm_config::SupervisorOptions;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread may read before that is logged, and before a further HUP starts another one:
/// the show file, or one that it includes, may be on a disk that does not answer.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// The most threads that read at once, those that do not come back included.
const READERS_LIMIT: usize = 4;

/// A show that can take the place of the running one, with all that the loop keeps of it: for a
/// large show that takes milliseconds to make.
pub struct PreparedShow {
    loaded: LoadedShow,
    names: Arc<NameIndex>,
    saved_names: SharedNames,
    loop_monitor: LoopMonitor,
}

impl PreparedShow {
    fn new(loaded: LoadedShow) -> Self {
        let show = &loaded.show;
        let (names, saved_names) = (Arc::new(NameIndex::new(show)), SharedNames::new(show));
        let loop_monitor = LoopMonitor::new(show);
        Self { loaded, names, saved_names, loop_monitor }
    }
}

impl Debug for PreparedShow {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.loaded.fmt(formatter)
    }
}

/// Whether the show file is being read again.
#[derive(Debug, Default)]
pub struct ShowReload {
    /// The thread whose show is to be applied.
    reader: Option<Reader>,
    /// Threads that read, those that do not come back included.
    readers: usize,
    /// The number of the last thread.
    last: u64,
}

/// A thread that reads the show file.
#[derive(Debug)]
struct Reader {
    number: u64,
    /// When it takes too long; `None` once that was logged.
    deadline: Option<Instant>,
    /// The file is to be read once more after that.
    again: bool,
}

impl ShowReload {
    /// Whether no show file is being read.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.reader.is_none()
    }

    /// When the present thread takes too long.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.reader.as_ref()?.deadline
    }

    /// A thread has come back. Returns whether it is the one that counts, and whether the file is
    /// to be read once more.
    fn finish(&mut self, number: u64) -> Option<bool> {
        self.readers = self.readers.saturating_sub(1);
        self.reader.take_if(|reader| reader.number == number).map(|reader| reader.again)
    }
}

impl EventLoop {
    /// Starts to read the show file again; if a thread does already, once more when that is done.
    /// One that takes too long is not waited for.
    pub(super) fn begin_show_reload(&mut self) {
        let reload = &mut self.show_reload;
        if let Some(reader) = &mut reload.reader
            && (reader.deadline.is_some() || reload.readers >= READERS_LIMIT)
        {
            reader.again = true;
            return;
        }
        tracing::info!(event = "show_reload_began", "reloading the show file");
        let now = Instant::now();
        self.systemd.reloading("reloading the show file", now);
        self.show_reload.last += 1;
        let (number, to_loop) = (self.show_reload.last, self.sender.clone());
        let report = move |outcome: Result<Box<LoadedShow>, String>| {
            let outcome = outcome.map(|loaded| Box::new(PreparedShow::new(*loaded)));
            to_loop.send(LoopMessage::ShowRead(number, outcome));
        };
        match show_reload::begin(self.origin.clone(), report) {
            Ok(()) => {
                self.show_reload.readers += 1;
                let deadline = Some(now + READ_PATIENCE);
                self.show_reload.reader = Some(Reader { number, deadline, again: false });
            }
            Err(error) => {
                tracing::error!(event = "show_reload_failed", "the show file cannot be read: {error}");
            }
        }
    }

    /// Logs once that a thread takes too long to read.
    pub(super) fn check_show_reload(&mut self, now: Instant) {
        let Some(reader) = self.show_reload.reader.as_mut() else { return };
        if reader.deadline.take_if(|deadline| *deadline <= now).is_none() {
            return;
        }
        tracing::error!(
            event = "show_reload_hangs",
            "the show file has not been read within {} s, is its disk there? The show goes on; SIGHUP tries again",
            READ_PATIENCE.as_secs()
        );
        if std::mem::take(&mut reader.again) {
            self.begin_show_reload();
        }
    }

    /// The show file was read.
    pub(super) fn show_was_read(
        &mut self,
        number: u64,
        outcome: Result<Box<PreparedShow>, String>,
        now: Instant,
    ) {
        let Some(again) = self.show_reload.finish(number) else { return };
        self.systemd_status_is_old = true;
        match outcome {
            Ok(loaded) if self.phase != Phase::Ending => self.apply(*loaded, now),
            Ok(_) => {}
            Err(report) => {
                self.last_good.refused(&report);
                tracing::error!(
                    event = "show_reload_failed",
                    report = %report.trim_end(),
                    "the show file has errors, nothing changes"
                );
            }
        }
        if again {
            self.begin_show_reload();
        }
    }

    /// Puts a show in the place of the running one.
    fn apply(&mut self, prepared: PreparedShow, now: Instant) {
        let PreparedShow { loaded, names, saved_names, loop_monitor } = prepared;
        let LoadedShow { show, plans, table, change, state_file, copy } = loaded;
        // What workers have sent so far goes where it was meant to go.
        self.route(now);
        self.finish_begun();
        self.route_incoming();
        // First: what backends and instances send from here on has the numbers of the new show.
        let old_table = self.router.apply(table, &change);
        self.restored.renumber(&change);
        self.with_backends(|backends, access| backends.apply(plans, &show, &change, access));
        self.with_instances(now, |instances, cx| instances.apply(&show, &change, cx));
        if self.phase == Phase::Running && self.instances.wants_spare() {
            self.spare.wanted(now);
        }
        tracing::info!(event = "show_reloaded", "show reloaded: {change}");
        let old_options = SupervisorOptions::of(&self.origin.show);
        self.apply_supervisor_options(&old_options, &SupervisorOptions::of(&show), state_file);
        cycles::warn(&show);
        let removed = change.removed().filter_map(|id| self.origin.show.instance(id));
        let removed: Vec<String> = removed.map(|instance| instance.name.clone()).collect();
        let old_names = self.control.apply(names, &removed);
        let old_saved_names = std::mem::replace(&mut self.names, saved_names);
        self.loop_monitor = loop_monitor;
        self.systemd_status_is_old = true;
        self.last_good.accepted(copy);
        if self.phase == Phase::Running {
            self.last_good.keep();
        }
        let old_show = std::mem::replace(&mut self.origin.show, Arc::new(show));
        drop_elsewhere((old_table, old_names, old_saved_names, old_show));
    }
}

/// Drops what is large in a thread of its own; here, if the system refuses one.
fn drop_elsewhere(old: impl Send + 'static) {
    let _ = thread::Builder::new().name("show-drop".into()).spawn(move || drop(old));
}
