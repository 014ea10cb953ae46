//! How an instance gets its workers: it waits for its turn, begins one, and lets it serve when
//! supervision has attached it.

use super::{ScriptInstance, moment, reports};
use crate::ids::WorkerId;
use crate::instances::context::LoopContext;
use crate::instances::exit::ExitReason;
use crate::instances::script_sources::ScriptSources;
use crate::instances::script_worker::{Purpose, ScriptWorker};
use crate::instances::supervision::WantedWorker;
use crate::instances::supervision::workers::Role;
use crate::instances::transition::{StartNumber, Transition};
use crate::instances::worker_message::WorkerMessage;
use crate::poller::{Interest, Wake};
use mm_shared::control::ImportMode;

impl ScriptInstance {
    /// It may be its turn to have a worker started.
    pub fn start_wanted(&mut self, cx: &mut LoopContext<'_>) {
        self.follow_up(cx);
    }

    /// The number that the next start of a worker gets.
    #[must_use]
    pub fn next_start(&self) -> StartNumber {
        self.history.last_start().next()
    }

    /// Which start a worker came from.
    pub(super) fn start_of(&self, id: WorkerId) -> StartNumber {
        let member = self.supervision.workers().get(id);
        member.map_or(self.history.last_start(), |member| member.worker.start())
    }

    /// Begins the worker that supervision wants, if it is its turn. Returns whether it was.
    pub(super) fn begin_wanted(&mut self, cx: &mut LoopContext<'_>) -> bool {
        let Some(wanted) = self.supervision.wanted_worker() else {
            cx.registry.starts.withdraw(self.id);
            return false;
        };
        let is_turn = cx.registry.starts.is_turn(self.id, wanted, cx.now);
        if is_turn {
            self.begin(wanted, cx);
        }
        is_turn
    }

    fn begin(&mut self, wanted: WantedWorker, cx: &mut LoopContext<'_>) {
        let start = self.history.note_begin();
        match wanted {
            WantedWorker::Main => {
                self.history.note_start();
            }
            // The modules may ask for values.
            WantedWorker::Replacement => drop(self.waiting()),
        }
        match self.begin_worker(wanted, start, cx) {
            Ok(worker) => {
                cx.registry.starts.begun(worker.process.id, wanted, cx.now);
                let id = worker.process.id;
                self.supervision.spawned(worker, wanted, moment(cx));
                self.watch_memory(id, cx);
            }
            Err(error) => {
                match wanted {
                    WantedWorker::Main => {
                        reports::not_started(&self.name, &error);
                        self.history.note_failed_start(&error);
                    }
                    WantedWorker::Replacement => {
                        let reason = ExitReason::NotStarted(error).to_string();
                        reports::reload_failed(&self.name, &reason);
                        if let Some(next) = &mut self.next {
                            next.failure = Some(reason.clone());
                        }
                        self.history.reach(start, Transition::ReloadFailed { reason, traceback: None });
                    }
                }
                self.supervision.spawn_failed(wanted, moment(cx));
            }
        }
    }

    /// Makes a worker of this instance: of the spare if it can be, else a new one.
    fn begin_worker(
        &mut self,
        wanted: WantedWorker,
        start: StartNumber,
        cx: &mut LoopContext<'_>,
    ) -> Result<ScriptWorker, String> {
        self.watch_known_sources(cx);
        let main = self.supervision.workers().main().map(|member| &member.worker);
        let import = match wanted {
            WantedWorker::Replacement => self.versions.next_beside(main, self.reload_rule),
            WantedWorker::Main => self.versions.next_alone(),
        };
        let has_company = !self.supervision.workers().is_empty();
        let is_last_good = matches!(import, ImportMode::LastGood(_));
        let specification = self.usable_next().cloned();
        let spec = specification.as_ref().map_or(&self.spec, |specification| &specification.spec);
        let mut renamed = specification.as_ref().map(|next| self.data.values().renamed(&next.names));
        let values = renamed.as_mut().unwrap_or(self.data.values_mut());
        let taken = if spec.fits_spare() { cx.take_spare(self.id, &self.name) } else { None };
        let (process, booted) = match taken {
            Some(mut process) => {
                let booted = spec.boot(&mut process, values, import)?;
                (process, booted)
            }
            None => {
                let id = cx.next_worker_id(self.id);
                let begun = spec.begin(cx.launcher, id, values, import);
                begun.inspect_err(|_| cx.registry.forget(id))?
            }
        };
        self.versions.note_begun(process.id, is_last_good);
        let purpose = Purpose { wanted, start, specification };
        Ok(ScriptWorker::new(process, purpose, booted, has_company, cx.now))
    }

    /// Has the files of the script watched, if the show asks for it: those of its `module` options,
    /// and `sources`.
    fn watch_files(&self, sources: &ScriptSources, loaded: &[u8], cx: &mut LoopContext<'_>) {
        let Some(mut files) = self.wanted_spec().watched_files() else { return };
        files.extend_from_slice(sources.files());
        cx.script_watch.watch(&self.name, files, loaded.to_vec());
    }

    /// The same with what the last worker was loaded from, until the next one has reported its own.
    fn watch_known_sources(&self, cx: &mut LoopContext<'_>) {
        let main = self.supervision.workers().main().map(|member| &member.worker);
        self.watch_files(self.versions.known_sources(main).unwrap_or(&ScriptSources::default()), &[], cx);
    }

    /// The same with the files that a worker has reported, unless these are of a version that is
    /// being replaced.
    pub(super) fn watch_sources(&self, id: WorkerId, cx: &mut LoopContext<'_>) {
        let Some(member) = self.supervision.workers().get(id) else { return };
        if member.role().is_main() || member.role() == Role::Replacement {
            let sources = &member.worker.sources;
            reports::sources_reported(&self.name, sources.files().len());
            // The files of a version that was kept may have changed long ago.
            let loaded = if self.versions.is_last_good(id) { &[] } else { sources.list() };
            self.watch_files(sources, loaded, cx);
        }
    }

    /// Lets a worker serve that supervision has attached.
    pub(super) fn serve(&mut self, id: WorkerId, cx: &mut LoopContext<'_>) {
        self.take_specification_of(id);
        let Some(member) = self.supervision.workers_mut().get_mut(id) else { return };
        let worker = &mut member.worker;
        let Some(booted) = worker.serve(cx.now) else { return };
        let changed = self.data.attach(worker.rings(), booted, cx);
        let (start, is_reload) = (worker.start(), worker.is_replacement());
        let (took, pid) = (worker.age(cx.now).as_millis(), worker.pid().map_or(0, |pid| pid.as_raw()));
        if let Err(error) =
            cx.poller.watch(&worker.rings().bell_from_worker, Interest::ReadEdge, Wake::Bell(id))
        {
            self.violated(id, &format!("its doorbell cannot be watched: {error}"), cx);
            return;
        }
        worker.process.send(WorkerMessage::Serve(changed));
        reports::ready(&self.name, pid, took, is_reload);
        self.history.note_serving();
        if let Some(reason) = self.versions.note_serving(id) {
            reports::last_good_serves(&self.name, reason);
        }
        self.history.reach(start, Transition::Serves { pid, took });
    }
}
