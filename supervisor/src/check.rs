//! `mm-supervisor check`: validates a show file and imports its scripts, without opening a port.
//!
//! Every Python instance gets a worker, as in a show, all at once. No worker serves: each is killed
//! when it is ready or its import has failed. The output of scripts goes to the log.
//!
//! Exit status: 0 when nothing is wrong, 2 for errors in the show file or its scripts, 1 for
//! anything else.

use crate::backends::PYTHON;
use crate::cli::CheckArgs;
use crate::event_loop::message::{LoopMessage, WorkerEvent};
use crate::ids::WorkerId;
use crate::instances::data_plane::values::Values;
use crate::instances::launcher::WorkerLauncher;
use crate::instances::options::PythonOptions;
use crate::instances::worker::Worker;
use crate::instances::worker_spec::WorkerSpec;
use crate::log;
use crate::mailbox::Mailbox;
use crate::reaper::Spawned;
use crate::runtime_dir::RuntimeDir;
use crate::script_output::{Drain, OutputStream};
use crate::show::LiveShow;
use crate::signals::Signals;
use crate::startup::{self, Loaded, StartError, find_worker, tools};
use crate::stderr::print_line;
use mm_shared::control::FromWorker;
use std::process::ExitCode;
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
    let _signals = Signals::catch().map_err(|error| StartError::system("cannot catch signals", error))?;
    let settings = args.log.settings().map_err(|error| StartError::system("`MM_LOG`", error))?;
    let Some(Loaded { show, .. }) = startup::load(&args.show) else { return Ok(ExitCode::from(2)) };
    let _log = log::init(settings).map_err(|error| StartError::system("cannot log", error))?;
    let program = find_worker(&show)?;
    let runtime_dir =
        RuntimeDir::create().map_err(|error| StartError { message: error.to_string(), hint: None })?;
    let (tools, mailbox) = tools(program, &runtime_dir)?;
    let faults = import_all(&show, &tools, &mailbox)?;
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let path = show.path.display();
    if faults > 0 {
        print_line(&format!("error: {} of `{path}` cannot start", count(faults, "instance")));
        return Ok(ExitCode::from(2));
    }
    let (instances, mappings) =
        (count(show.instances.len(), "instance"), count(show.mappings.len(), "mapping"));
    print_line(&format!("`{path}` is valid: {instances}, {mappings}"));
    Ok(ExitCode::SUCCESS)
}

/// An instance whose script is being imported.
struct Trial {
    instance: String,
    deadline: Instant,
    worker: Worker,
    outcome: Option<Outcome>,
}

/// The outcome of an import.
enum Outcome {
    Ready,
    Failed(String),
}

/// Imports the scripts of all Python instances; returns how many failed.
fn import_all(
    show: &LiveShow,
    tools: &WorkerLauncher,
    mailbox: &Mailbox<LoopMessage>,
) -> Result<usize, StartError> {
    let drain =
        Drain::start().map_err(|error| StartError::system("cannot read what scripts print", error))?;
    let mut trials = begin_all(show, tools)?;
    while let Some(deadline) =
        trials.iter().filter(|trial| trial.outcome.is_none()).map(|trial| trial.deadline).min()
    {
        match mailbox.receive_within(deadline.saturating_duration_since(Instant::now())) {
            Some(message) => take(message, &mut trials, &drain),
            None => time_out(&mut trials),
        }
    }
    end_all(&mut trials, mailbox, &drain);
    for trial in &trials {
        drain.remove(trial.worker.id);
        if let Some(Outcome::Failed(what)) = &trial.outcome {
            print_line(&format!("error: instance `{}`: {what}", trial.instance));
        }
    }
    Ok(trials.iter().filter(|trial| matches!(trial.outcome, Some(Outcome::Failed(_)))).count())
}

fn begin_all(show: &LiveShow, tools: &WorkerLauncher) -> Result<Vec<Trial>, StartError> {
    let mut trials = Vec::new();
    for (id, live) in (1..).zip(show.instances_of(PYTHON)) {
        let options = PythonOptions::of(show, live.instance);
        let recipe = WorkerSpec::new(show, &live.instance.name, &options);
        let names = live.instance.channels.iter().map(|channel| channel.name.clone());
        let (worker, _) = recipe
            .begin(tools, WorkerId(id), &mut Values::new(names))
            .map_err(|error| StartError::system("a worker could not be started", error))?;
        let deadline = Instant::now() + options.start_timeout;
        trials.push(Trial { instance: live.instance.name.clone(), deadline, worker, outcome: None });
    }
    Ok(trials)
}

/// Kills all workers and waits for their end, so that all their output is there to be read.
fn end_all(trials: &mut [Trial], mailbox: &Mailbox<LoopMessage>, drain: &Drain) {
    trials.iter_mut().for_each(|trial| trial.worker.kill());
    let deadline = Instant::now() + END_TIMEOUT;
    while !trials.iter().all(|trial| trial.worker.has_exited()) {
        match mailbox.receive_within(deadline.saturating_duration_since(Instant::now())) {
            Some(message) => take(message, trials, drain),
            // A worker that is stuck in the kernel ends with the reaper, or not at all.
            None => return,
        }
    }
}

fn time_out(trials: &mut [Trial]) {
    let now = Instant::now();
    for trial in trials.iter_mut().filter(|trial| trial.outcome.is_none() && trial.deadline <= now) {
        let what = "the modules were not imported within `start-timeout`".to_owned();
        trial.outcome = Some(Outcome::Failed(what));
    }
}

fn take(message: LoopMessage, trials: &mut [Trial], drain: &Drain) {
    let LoopMessage::Worker { worker_id, event } = message else { return };
    let Some(trial) = trials.iter_mut().find(|trial| trial.worker.id == worker_id) else { return };
    let outcome = match event {
        WorkerEvent::Spawned(Ok(Spawned { pid, pidfd, stdout, stderr })) => {
            drain.add(trial.instance.clone(), worker_id, stdout, OutputStream::Stdout);
            drain.add(trial.instance.clone(), worker_id, stderr, OutputStream::Stderr);
            trial.worker.arrived(pid, pidfd);
            None
        }
        WorkerEvent::Spawned(Err(error)) => {
            trial.worker.never_arrived();
            Some(Outcome::Failed(format!("the worker could not be started: {error}")))
        }
        WorkerEvent::Exited(how) => {
            // Its control channel may still bring the reason, and is closed after that.
            trial.worker.exited(how);
            None
        }
        WorkerEvent::Message(message) => outcome(&trial.instance, message),
        WorkerEvent::ChannelClosed(fault) => {
            let what = fault.unwrap_or_else(|| "the worker ended during import".into());
            Some(Outcome::Failed(what))
        }
    };
    if trial.outcome.is_none() {
        trial.outcome = outcome;
    }
}

fn outcome(instance: &str, message: FromWorker) -> Option<Outcome> {
    match message {
        FromWorker::Ready => Some(Outcome::Ready),
        FromWorker::Failed(failure) => {
            Some(Outcome::Failed(import_error(&failure.module, &failure.summary, &failure.traceback)))
        }
        FromWorker::Warning(text) => {
            tracing::warn!(event = "worker_warned", instance = %instance, "{text}");
            None
        }
        FromWorker::Error { place, traceback, .. } => {
            tracing::error!(event = "script_failed", instance = %instance, traceback = %traceback, "exception in {place}");
            None
        }
        FromWorker::Sources(_)
        | FromWorker::Hello { .. }
        | FromWorker::Channel { .. }
        | FromWorker::Yielded
        | FromWorker::Stopped => None,
    }
}

/// A missing module has no traceback beyond its summary.
fn import_error(module: &str, summary: &str, traceback: &str) -> String {
    let mut text = format!("module `{module}` could not be imported: {}", summary.trim_end());
    let traceback = traceback.trim_end();
    if traceback != summary.trim_end() {
        text.push('\n');
        text.push_str(traceback);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_is_all_there_is_stands_there_once() {
        assert_eq!(
            import_error("h", "no such module\n", "no such module"),
            "module `h` could not be imported: no such module"
        );
    }
}
