//! A worker's life, in its order: interpreter, boot, import, ready, serve, stop.

use crate::args::Args;
use crate::dispatch::{Dispatch, EventSource};
use crate::error::WorkerError;
use crate::link::Outgoing;
use crate::python::channels::Channels;
use crate::python::coroutines::never_runs;
use crate::python::errors::ErrorReporter;
use crate::python::handlers::{HandlerRemark, Handlers};
use crate::python::interpreter::StartError;
use crate::python::output::Output;
use crate::python::sockets::Sockets;
use crate::python::space::SpaceBell;
use crate::python::timers::Timers;
use crate::python::{
    Instance, activity, become_instance, busy, children, cleanup, interpreter, leave_if_forked, modules,
    recorder, source_check,
};
use crate::startup::Process;
use crate::term::let_term_kill;
use mm_shared::control::{Boot, ChannelBoot, Failure, FailureSubject, FromWorker, ImportMode, ToWorker};
use mm_shared::wakeup::WakeupMode;
use mm_shared::{Activity, WorkerEnd, frame};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// Exit status when a module cannot be imported.
const IMPORT_FAILED_STATUS: u8 = 3;

/// How long the last messages may take to be sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs to the end, and returns the exit status.
pub fn live(process: Process, args: &Args) -> Result<u8, WorkerError> {
    // Before the script can change the environment.
    let _ = WakeupMode::of_process();
    let child_modules = children::module_directory(&args.directory);
    let outgoing = process.outgoing.clone();
    let started =
        interpreter::start(args.venv.as_deref(), process.term.wakeup_fd(), child_modules.as_deref());
    match started {
        Ok(()) => {}
        Err(error @ (StartError::NoVenv(_) | StartError::OtherVenv(_))) => {
            let failure = Failure::of_text(FailureSubject::Venv, error.to_string());
            outgoing.send(FromWorker::Failed(Failure { hint: error.hint(), ..failure }));
            outgoing.flush(FLUSH_TIMEOUT);
            return Ok(IMPORT_FAILED_STATUS);
        }
        Err(error) => return Err(error.into()),
    }
    Python::attach(|py| run(py, process))?;
    interpreter::finish();
    outgoing.flush(FLUSH_TIMEOUT);
    Ok(0)
}

fn run(py: Python<'_>, process: Process) -> Result<(), WorkerError> {
    let Process { end, inbox, outgoing, term } = process;
    let boot: Boot = match inbox.wait(py) {
        ToWorker::Boot(bytes) => frame::decode(frame::BOOT, frame::BOOT_LIMIT, &bytes)?,
        ToWorker::Stop => {
            inbox.leave();
            outgoing.send(FromWorker::Stopped);
            return Ok(());
        }
        ToWorker::Serve(_) => return Err(WorkerError::OutOfTurn("Serve")),
    };
    let (instance, source) = set_up(py, &boot, end, &outgoing)?;
    import(py, &boot, &outgoing)?;
    let handlers = find_handlers(py, instance, &boot);
    // In this order: the next change of its activity shows that it serves.
    activity::enter(Activity::Idle, 0);
    outgoing.send(FromWorker::Ready { handled: handlers.handled(boot.mapped) });
    busy::report_to(&outgoing);
    // SIGTERM still ends the process here: there is nothing to clean up before the show starts.
    match inbox.wait(py) {
        ToWorker::Serve(values) => {
            term.listen();
            take_over(py, instance, &values)?;
            Dispatch::new(instance, handlers, source, &inbox, &term)?.run(py);
        }
        ToWorker::Stop => {}
        ToWorker::Boot(_) => return Err(WorkerError::OutOfTurn("Boot")),
    }
    // The supervisor can end an exit that takes too long.
    let_term_kill();
    inbox.leave();
    stop(py, instance);
    Ok(())
}

/// Makes this process the instance that the boot message describes.
fn set_up(
    py: Python<'_>,
    boot: &Boot,
    end: WorkerEnd,
    outgoing: &Outgoing,
) -> Result<(&'static Instance, EventSource), WorkerError> {
    activity::install(end.progress);
    let source = EventSource {
        down: end.down,
        bell: end.bell_to_worker,
        bell_from_worker: end.bell_from_worker.try_clone()?,
    };
    let instance = Instance {
        channels: Channels::new(py, boot)?,
        output: Output::new(end.up, end.bell_from_worker, SpaceBell::new(end.space)?, outgoing.clone()),
        timers: Timers::new()?,
        sockets: Sockets::new()?,
        cleanup: cleanup::Cleanup::default(),
        errors: ErrorReporter::new(outgoing.clone()),
        outgoing: outgoing.clone(),
    };
    Ok((become_instance(instance), source))
}

/// Imports the modules, or ends the process.
fn import(py: Python<'_>, boot: &Boot, outgoing: &Outgoing) -> Result<(), WorkerError> {
    activity::enter(Activity::Import, 0);
    let kept = recorder::start(py, boot, outgoing)?;
    let outcome = match std::env::set_current_dir(&boot.directory) {
        Ok(()) => import_as_told(py, boot, &kept),
        Err(error) => Err(unusable_directory(boot, &error)),
    };
    recorder::finish_import(py);
    if let Err(failure) = outcome {
        outgoing.send(FromWorker::Failed(failure));
        interpreter::flush(py);
        outgoing.flush(FLUSH_TIMEOUT);
        // The interpreter's own exit would wait for threads that the modules may have started.
        signal_hook::low_level::exit(IMPORT_FAILED_STATUS.into());
    }
    Ok(())
}

fn import_as_told(py: Python<'_>, boot: &Boot, kept: &HashSet<PathBuf>) -> Result<(), Failure> {
    let import = || {
        let outcome = modules::import_all(py, boot, kept);
        leave_if_forked(py, None);
        outcome
    };
    match &boot.import {
        ImportMode::Alone | ImportMode::LastGood(_) => import(),
        ImportMode::Beside { loaded } => {
            let outcome = import().and_then(|()| busy::settle(py).map_or(Ok(()), Err));
            outcome.map_err(|failure| {
                let mistake = if failure.is_busy { source_check::first_mistake(py, loaded) } else { None };
                mistake.unwrap_or(failure)
            })
        }
        ImportMode::CompileOnly { loaded } => {
            let files = [modules::files(boot), loaded.clone()].concat();
            Err(source_check::first_mistake(py, &files).unwrap_or_else(not_tried))
        }
    }
}

/// The outcome of an import that was not tried, so that the other worker is stopped first.
fn not_tried() -> Failure {
    let failure = Failure::of_text(FailureSubject::Other, "`reload = restart`".to_owned());
    Failure { is_busy: true, ..failure }
}

fn unusable_directory(boot: &Boot, error: &std::io::Error) -> Failure {
    let text = format!("the show's directory `{}` cannot be entered: {error}", boot.directory.display());
    Failure::of_text(FailureSubject::Other, text)
}

fn find_handlers(py: Python<'_>, instance: &Instance, boot: &Boot) -> Handlers {
    let (handlers, remarks) = Handlers::find(py, instance, boot);
    for HandlerRemark { subject, text } in remarks {
        instance.outgoing.offer(FromWorker::HandlerWarning { subject, text });
    }
    handlers
}

/// Takes over the values that have changed since the boot message, and sends the outputs that were
/// recorded.
fn take_over(py: Python<'_>, instance: &Instance, values: &[ChannelBoot]) -> PyResult<()> {
    for value in values {
        let name = PyString::new(py, &value.name);
        let channel = match instance.channels.find(&name)? {
            Some(channel) => Some(channel),
            None => instance.output.add(&instance.channels, &name)?,
        };
        let Some(channel) = channel else { continue };
        instance.channels.values().set_input(channel, value.input);
        // A value that the script set at load is newer than what its predecessor sent.
        if !instance.output.is_set(py, channel) {
            instance.channels.values().set_output(channel, value.output);
        }
    }
    instance.timers.restart();
    instance.output.start(py, instance.channels.values());
    Ok(())
}

/// Runs the cleanup handler and releases all that belongs to the script.
fn stop(py: Python<'_>, instance: &Instance) {
    instance.output.stop(py);
    instance.outgoing.send(FromWorker::Yielded);
    activity::enter(Activity::Cleanup, 0);
    if let Some(handler) = cleanup::take(&instance.cleanup) {
        let outcome = handler.call0(py);
        leave_if_forked(py, outcome.as_ref().err());
        if let Err(error) = outcome.and_then(|returned| never_runs(returned.bind(py))) {
            instance.errors.report(py, "cleanup handler".into(), &error, Some(handler.bind(py)));
        }
    }
    instance.timers.clear();
    instance.sockets.clear();
    instance.outgoing.send(FromWorker::Stopped);
}
