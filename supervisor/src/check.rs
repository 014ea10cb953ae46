//! `mm-supervisor check`: validates a show file and imports its scripts, without opening a port.
//!
//! Every Python instance gets a worker, as in a show, all at once. No worker serves: each is killed
//! when it is ready or its import has failed. The output of scripts goes to the log.
//!
//! Exit status: 0 when nothing is wrong, 2 for errors in the show file or its scripts, 1 for
//! anything else.

mod findings;
mod network;
mod paths;

use crate::backends::PYTHON;
use crate::cli::CheckArgs;
use crate::ids::WorkerId;
use crate::instances::data_plane::values::Values;
use crate::instances::launcher::WorkerLauncher;
use crate::instances::launcher_thread::LauncherReport;
use crate::instances::options::PythonOptions;
use crate::instances::worker::Worker;
use crate::instances::worker_event::WorkerEvent;
use crate::instances::worker_spec::WorkerSpec;
use crate::log;
use crate::mailbox::{Mailbox, mailbox};
use crate::poller::{Interest, Poller, Wake};
use crate::reaper::Spawned;
use crate::runtime_dir::RuntimeDir;
use crate::script_output::{OutputStream, ScriptOutput};
use crate::show::LiveShow;
use crate::show_choice::{self, CheckedShow};
use crate::signals::{Hangup, Signals};
use crate::startup::{self, StartError, find_worker};
use crate::stderr::print_line;
use crate::terminal::wants_color;
use findings::{Findings, Remark};
use mm_config::{Diagnostics, Severity};
use mm_shared::control::{Failure, FromWorker, ImportMode};
use mm_shared::control_link::LinkError;
use mm_shared::sys::limits;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long killed workers may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The verb `check`.
#[must_use]
pub fn run(args: &CheckArgs) -> ExitCode {
    match try_run(args) {
        Ok(status) => status,
        Err(error) => {
            error.print();
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: &CheckArgs) -> Result<ExitCode, StartError> {
    let _signals = Signals::catch(Hangup::of(io::stderr().is_terminal(), false))
        .map_err(|error| StartError::system("cannot catch signals", error))?;
    limits::raise_descriptor_limit();
    let settings = args.log.settings().map_err(|error| StartError::system("`MM_LOG`", error))?;
    let Some(mut checked) = show_choice::read(&args.show) else { return Ok(ExitCode::from(2)) };
    paths::check(&checked.show, &mut checked.diagnostics);
    if checked.diagnostics.has_errors() {
        checked.print();
        return Ok(ExitCode::from(2));
    }
    network::check(&checked.plans, &mut checked.diagnostics);
    let CheckedShow { show, mut diagnostics, .. } = checked;
    let _log =
        log::init(settings, Arc::default()).map_err(|error| StartError::system("cannot log", error))?;
    let program = find_worker(&show)?;
    let runtime_dir = RuntimeDir::create()?;
    let (sender, mailbox) =
        mailbox().map_err(|error| StartError::system("cannot make a descriptor", error))?;
    let report = move |report| {
        sender.send(report);
    };
    let launcher = startup::launcher(program, &runtime_dir, report)?;
    let faults = Check::new(launcher, mailbox)?.import_all(&show, &mut diagnostics)?;
    Ok(conclude(&show, &diagnostics, faults, args.strict))
}

/// Prints what was found, and the verdict in the last line.
fn conclude(show: &LiveShow, diagnostics: &Diagnostics, faults: usize, strict: bool) -> ExitCode {
    let path = show.path.display();
    let text = diagnostics.render_each(wants_color(&io::stderr()));
    if !text.is_empty() {
        print_line(&format!("{}\n", text.trim_end()));
    }
    if faults > 0 {
        print_line(&format!("error: {} of `{path}` cannot start", count(faults, "instance")));
        return ExitCode::from(2);
    }
    let (instances, mappings) =
        (count(show.instances.len(), "instance"), count(show.mappings.len(), "mapping"));
    let summary = diagnostics.summary();
    match diagnostics.count(Severity::Warning) {
        0 => print_line(&format!("`{path}` is valid: {instances}, {mappings}")),
        _ if strict => {
            print_line(&format!("error: `{path}` has {summary}, which `--strict` does not accept"));
            return ExitCode::from(2);
        }
        _ => print_line(&format!("`{path}` is valid, with {summary}: {instances}, {mappings}")),
    }
    ExitCode::SUCCESS
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The instances of a show whose scripts are imported, and what it takes to wait for that.
struct Check {
    launcher: WorkerLauncher,
    mailbox: Mailbox<LauncherReport>,
    poller: Poller,
    script_output: ScriptOutput,
    trials: Vec<Trial>,
}

/// An instance whose script is imported.
struct Trial {
    /// Its place in the show file.
    place: usize,
    instance: String,
    deadline: Instant,
    worker: Worker,
    outcome: Option<Outcome>,
    remarks: Vec<Remark>,
}

/// The outcome of an import.
enum Outcome {
    Ready,
    Failed(Failure),
    /// No module can be blamed; the text says what happened.
    Ended(String),
}

impl Check {
    fn new(launcher: WorkerLauncher, mailbox: Mailbox<LauncherReport>) -> Result<Self, StartError> {
        let script_output = ScriptOutput::start()
            .map_err(|error| StartError::system("cannot read what scripts print", error))?;
        let poller = Poller::new().and_then(|poller| {
            poller.watch(mailbox.descriptor(), Interest::ReadEdge, Wake::Mailbox)?;
            launcher.reaper.watch(&poller)?;
            Ok(poller)
        });
        let poller = poller.map_err(|error| StartError::system("cannot wait for events", error))?;
        Ok(Self { launcher, mailbox, poller, script_output, trials: Vec::new() })
    }

    /// Imports the scripts of all Python instances; returns how many failed.
    fn import_all(mut self, show: &LiveShow, diagnostics: &mut Diagnostics) -> Result<usize, StartError> {
        self.begin(show)?;
        let open = |trials: &[Trial]| {
            trials.iter().filter(|trial| trial.outcome.is_none()).map(|trial| trial.deadline).min()
        };
        while let Some(deadline) = open(&self.trials) {
            self.turn(deadline)?;
            self.time_out();
        }
        self.end()?;
        let mut faults = 0;
        for trial in &self.trials {
            self.script_output.remove(trial.worker.id);
            let findings = Findings::new(&show.instances[trial.place]);
            findings.remarks(&trial.remarks, diagnostics);
            faults += usize::from(match &trial.outcome {
                Some(Outcome::Failed(failure)) => findings.failure(failure, diagnostics),
                Some(Outcome::Ended(what)) => findings.end(what, diagnostics),
                Some(Outcome::Ready) | None => false,
            });
        }
        Ok(faults)
    }

    fn begin(&mut self, show: &LiveShow) -> Result<(), StartError> {
        for (id, live) in (1..).zip(show.instances_of(PYTHON)) {
            let options = PythonOptions::of(show, live.instance);
            let spec = WorkerSpec::new(show, live, &options);
            let names = live.instance.channels.iter().map(|channel| channel.name.clone());
            let (launcher, mut values) = (&mut self.launcher, Values::new(names));
            let (worker, _) = spec
                .begin(launcher, WorkerId(id), &mut values, ImportMode::Alone)
                .map_err(|error| StartError::system("a worker could not be started", error))?;
            let (instance, deadline) = (live.instance.name.clone(), Instant::now() + options.start_timeout);
            let (place, remarks) = (live.place, Vec::new());
            self.trials.push(Trial { place, instance, deadline, worker, outcome: None, remarks });
        }
        Ok(())
    }

    /// Ends all workers, so that all that they have printed is there to be read.
    fn end(&mut self) -> Result<(), StartError> {
        self.trials.iter_mut().for_each(|trial| trial.worker.kill());
        let deadline = Instant::now() + END_TIMEOUT;
        // What is stuck ends with the reaper, or not at all.
        while !self.trials.iter().all(|trial| trial.worker.has_exited()) && Instant::now() < deadline {
            self.turn(deadline)?;
        }
        Ok(())
    }

    fn time_out(&mut self) {
        let now = Instant::now();
        for trial in self.trials.iter_mut().filter(|trial| trial.outcome.is_none() && trial.deadline <= now) {
            let what = "the modules were not imported within `start-timeout`".to_owned();
            trial.outcome = Some(Outcome::Ended(what));
        }
    }

    /// Waits for something to happen, until `deadline`, and handles it.
    fn turn(&mut self, deadline: Instant) -> Result<(), StartError> {
        let until = self.launcher.reaper.deadline().map_or(deadline, |at| at.min(deadline));
        let mut wakes = Vec::new();
        self.poller
            .wait(Some(until.saturating_duration_since(Instant::now())), &mut wakes)
            .map_err(|error| StartError::system("cannot wait for events", error))?;
        let now = Instant::now();
        for wake in wakes {
            match wake {
                Wake::Mailbox => {
                    // The program was found before the first worker.
                    while let Some(report) = self.mailbox.try_receive() {
                        if let LauncherReport::LinkFailed(worker_id, fault) = report {
                            self.handle(worker_id, WorkerEvent::ChannelClosed(Some(fault)));
                        }
                    }
                }
                Wake::Reaper => self.launcher.reaper.receive(&self.poller, now),
                Wake::WorkerExit(worker_id) => {
                    self.launcher.reaper.worker_exited(worker_id, &self.poller, now);
                }
                Wake::WorkerControl(worker_id) => self.receive(worker_id),
                Wake::Signal | Wake::Backend { .. } | Wake::Bell(_) => {}
            }
        }
        self.launcher.reaper.tick(&self.poller, now);
        while let Some((worker_id, event)) = self.launcher.reaper.next_event() {
            self.handle(worker_id, event.into());
        }
        Ok(())
    }

    /// Reads what a worker has sent.
    fn receive(&mut self, worker_id: WorkerId) {
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.worker.id == worker_id) else { return };
        let mut budget = usize::MAX;
        loop {
            let outcome = match trial.worker.receive(&mut budget, &self.poller, Instant::now()) {
                Ok(Some(message)) => trial.outcome_of(message),
                Ok(None) => return,
                Err(LinkError::Closed) => Some(Outcome::Ended("the worker ended during import".into())),
                Err(error) => Some(Outcome::Ended(error.to_string())),
            };
            let is_over = matches!(outcome, Some(Outcome::Failed(_) | Outcome::Ended(_)));
            trial.settle(outcome);
            if is_over {
                return;
            }
        }
    }

    fn handle(&mut self, worker_id: WorkerId, event: WorkerEvent) {
        if let WorkerEvent::Exited(_) = event {
            // Why it ended may be among its last messages.
            self.receive(worker_id);
        }
        let Some(trial) = self.trials.iter_mut().find(|trial| trial.worker.id == worker_id) else { return };
        let outcome = match event {
            WorkerEvent::Spawned(Ok(Spawned { pid, pidfd, stdout, stderr })) => {
                self.script_output.add(trial.instance.clone(), worker_id, stdout, OutputStream::Stdout);
                self.script_output.add(trial.instance.clone(), worker_id, stderr, OutputStream::Stderr);
                trial.worker.arrived(pid, pidfd, &self.poller);
                None
            }
            WorkerEvent::Spawned(Err(error)) => {
                trial.worker.never_arrived();
                Some(Outcome::Ended(format!("the worker could not be started: {error}")))
            }
            WorkerEvent::Exited(status) => {
                trial.worker.exited(status);
                Some(Outcome::Ended("the worker ended during import".into()))
            }
            WorkerEvent::Message(message) => trial.outcome_of(message),
            WorkerEvent::ChannelClosed(fault) => fault.map(Outcome::Ended),
        };
        trial.settle(outcome);
    }
}

impl Trial {
    /// The first outcome counts.
    fn settle(&mut self, outcome: Option<Outcome>) {
        if self.outcome.is_none() {
            self.outcome = outcome;
        }
    }

    /// What a message of the worker means.
    fn outcome_of(&mut self, message: FromWorker) -> Option<Outcome> {
        match message {
            FromWorker::Ready { .. } => Some(Outcome::Ready),
            FromWorker::Failed(failure) => Some(Outcome::Failed(failure)),
            FromWorker::Warning(text) => {
                self.remarks.push(Remark { subject: None, text });
                None
            }
            FromWorker::HandlerWarning { subject, text } => {
                self.remarks.push(Remark { subject: Some(subject), text });
                None
            }
            FromWorker::Error { place, traceback, .. } => {
                tracing::error!(event = "script_failed", instance = %self.instance, traceback = %traceback, "exception in {place}");
                None
            }
            FromWorker::Sources(_)
            | FromWorker::ResourceBusy(_)
            | FromWorker::Hello { .. }
            | FromWorker::Channel { .. }
            | FromWorker::Yielded
            | FromWorker::Stopped => None,
        }
    }
}
