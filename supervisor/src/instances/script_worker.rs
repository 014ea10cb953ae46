//! A worker of a script instance: the process, and what the instance has to remember about it until
//! it has ended.

use super::data_plane::rings::WorkerRings;
use super::data_plane::values::{BootedNames, Values};
use super::exit::ExitReason;
use super::script_sources::{GoodScript, ScriptSources};
use super::supervision::WantedWorker;
use super::supervision::workers::WorkerHandle;
use super::transition::StartNumber;
use super::worker::Worker;
use super::worker_message::WorkerMessage;
use super::worker_spec::Specification;
use crate::ids::WorkerId;
use mm_shared::control::{BitSet, Failure, NameError};
use nix::unistd::Pid;
use std::borrow::Cow;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// A worker of a script instance.
pub struct ScriptWorker {
    /// The process and its channels.
    pub process: Worker,
    purpose: Purpose,
    /// What it knows of the channels, until it serves.
    booted: Option<BootedNames>,
    begun: Instant,
    served: Option<Served>,
    failure: Option<Failure>,
    /// What it was loaded from, as far as it has reported that.
    pub sources: ScriptSources,
    /// The mapped channels that it handles.
    pub handled: BitSet,
    /// What it remarks on handlers that the show names.
    pub remarks: HandlerRemarks,
    company: Company,
}

/// Remarks of a worker on handlers.
#[derive(Debug, Default)]
pub struct HandlerRemarks {
    first: Option<String>,
    more: usize,
}

impl HandlerRemarks {
    /// Adds a remark.
    pub fn add(&mut self, text: &str) {
        match self.first {
            None => self.first = Some(text.lines().next().unwrap_or_default().to_owned()),
            Some(_) => self.more += 1,
        }
    }

    /// All remarks in one line, for `status`.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(match self.more {
            0 => first.clone(),
            more => format!("{first} (and {more} more remarks on handlers in the log)"),
        })
    }
}

/// Whether other workers of the instance may hold what this one needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Company {
    /// It was started alone.
    Never,
    /// Others run. The text is an exception of this one for which they may be the reason.
    Present(Option<String>),
    /// Others ran, so that an exception up to this moment may be due to them.
    Gone { blamed_until: Instant },
}

/// How long after the end of the last other worker a failure of this one may be due to it.
const SETTLE_TIME: Duration = Duration::from_secs(2);

/// What a worker was begun for.
#[derive(Debug)]
pub struct Purpose {
    /// What it is to be.
    pub wanted: WantedWorker,
    /// Which start of the instance's workers this is.
    pub start: StartNumber,
    /// What it was begun with, if that is not what the worker before it had.
    pub specification: Option<Specification>,
}

/// A worker was told to serve.
#[derive(Debug, Clone, Copy)]
struct Served {
    since: Instant,
    /// How often the worker had changed its activity by then. Any other number shows that its
    /// script serves.
    generation: u64,
}

impl ScriptWorker {
    /// A worker that was begun and given its boot.
    #[must_use]
    pub fn new(
        process: Worker,
        purpose: Purpose,
        booted: BootedNames,
        has_company: bool,
        now: Instant,
    ) -> Self {
        Self {
            process,
            purpose,
            booted: Some(booted),
            begun: now,
            served: None,
            failure: None,
            sources: ScriptSources::default(),
            handled: BitSet::default(),
            remarks: HandlerRemarks::default(),
            company: if has_company { Company::Present(None) } else { Company::Never },
        }
    }

    /// The other workers of the instance have ended. Returns an exception of this one for which
    /// they may have been the reason.
    pub fn note_alone(&mut self, now: Instant) -> Option<String> {
        let Company::Present(failure) = &mut self.company else { return None };
        let failure = failure.take();
        self.company = Company::Gone { blamed_until: now + SETTLE_TIME };
        failure
    }

    /// An exception shows that another process holds what the script needs. Returns it if that may
    /// have been another worker of the instance, and all of these have ended;
    /// [`ScriptWorker::note_alone`] returns it otherwise.
    pub fn note_busy(&mut self, exception: String, now: Instant) -> Option<String> {
        match &mut self.company {
            Company::Never => None,
            Company::Present(failure) => {
                failure.get_or_insert(exception);
                None
            }
            Company::Gone { blamed_until } => (now < *blamed_until).then_some(exception),
        }
    }

    /// Its script, when it has ended.
    pub fn take_script(&mut self) -> GoodScript {
        let (sources, handled) = (std::mem::take(&mut self.sources), std::mem::take(&mut self.handled));
        GoodScript { sources, handled }
    }

    /// Which start of the instance's workers it came from.
    #[must_use]
    pub fn start(&self) -> StartNumber {
        self.purpose.start
    }

    /// Whether it was begun as a replacement.
    #[must_use]
    pub fn is_replacement(&self) -> bool {
        self.purpose.wanted == WantedWorker::Replacement
    }

    /// The number of the specification that it was begun with, if that was a new one.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.purpose.specification.as_ref().map(|specification| specification.generation)
    }

    /// The specification that it was begun with, if that was a new one.
    pub fn take_specification(&mut self) -> Option<Specification> {
        self.purpose.specification.take()
    }

    /// The mapped channels that it handles, with the numbers of the worker that serves. Channels
    /// that only that one knows count as handled: no mapping uses them any more.
    #[must_use]
    pub fn handled_by_names<'a>(&self, handled: &'a BitSet, serving: &Values) -> Cow<'a, BitSet> {
        let Some(specification) = &self.purpose.specification else { return Cow::Borrowed(handled) };
        let names = &specification.names;
        let missing: HashSet<&str> = (0..)
            .zip(names)
            .filter(|(number, _)| !handled.contains(*number))
            .map(|(_, name)| name.as_str())
            .collect();
        let mut translated = BitSet::default();
        for (number, name) in (0..).zip(serving.mapped_names()) {
            if !missing.contains(name) {
                translated.insert(number);
            }
        }
        Cow::Owned(translated)
    }

    /// Its rings.
    pub fn rings(&mut self) -> &mut WorkerRings {
        &mut self.process.end
    }

    /// Its process id, once it is known.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.process.pid()
    }

    /// The script sends on a name that the show does not have, before this worker serves. `None`:
    /// it serves. Otherwise returns whether it keeps to the rules.
    pub fn add_name(&mut self, number: u32, name: &str) -> Option<Result<(), NameError>> {
        Some(self.booted.as_mut()?.add(number, name))
    }

    /// It serves from `now` on; returns what it knows of the channels.
    pub fn serve(&mut self, now: Instant) -> Option<BootedNames> {
        let generation = self.process.end.progress.activity().generation;
        self.served = Some(Served { since: now, generation });
        self.booted.take()
    }

    /// Since when it serves.
    #[must_use]
    pub fn served_since(&self) -> Option<Instant> {
        self.served.map(|served| served.since)
    }

    /// Whether its script has begun to serve since it was told to.
    #[must_use]
    pub fn has_begun_to_serve(&self) -> bool {
        let generation = self.process.end.progress.activity().generation;
        self.served.is_some_and(|served| served.generation != generation)
    }

    /// How long it took from its start until `now`.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.begun)
    }

    /// Its modules could not be imported.
    pub fn note_failure(&mut self, failure: Failure) {
        self.process.ending = Some(ExitReason::ImportFailed(failure.summary.clone()));
        self.failure = Some(failure);
    }

    /// Why its modules could not be imported.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

impl WorkerHandle for ScriptWorker {
    fn id(&self) -> WorkerId {
        self.process.id
    }

    fn request_stop(&mut self) {
        self.process.send(WorkerMessage::Stop);
    }

    fn dump_stacks(&mut self) {
        self.process.ask_for_stacks();
    }

    fn terminate(&mut self) {
        self.process.terminate();
    }

    fn kill(&mut self) {
        self.process.kill();
    }
}
