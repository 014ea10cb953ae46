//! From the command line to a running show: what can fail before it runs, in the order in which it
//! is tried.
//!
//! Exit status: 2 for a show file with errors, 1 for anything else that keeps the show from
//! running, 0 when it ran and was asked to end.

use crate::backends::set::BackendSet;
use crate::backends::{self, OpenError, PYTHON};
use crate::cli::RunArgs;
use crate::control::clients::ClientLimits;
use crate::control::server::{ControlServer, ControlServerError};
use crate::control::{self, client};
use crate::event_loop::message::LoopMessage;
use crate::event_loop::{EventLoop, Parts};
use crate::instances::InstanceSet;
use crate::instances::launcher::WorkerLauncher;
use crate::instances::launcher_thread::LauncherReport;
use crate::instances::spare::Spare;
use crate::log::{self, LogMemory};
use crate::mailbox::{MailboxSender, mailbox};
use crate::resolver::Resolver;
use crate::router::table::RouteTable;
use crate::router::{Router, cycles};
use crate::runtime_dir::{RuntimeDir, RuntimeDirError};
use crate::script_output::ScriptOutput;
use crate::show_choice::{self, CheckedShow};
use crate::show_reload::Origin;
use crate::signals::{Hangup, Signals};
use crate::state::{self, Saved, StateFile};
use crate::stderr::print_line;
use crate::worker_binary;
use mm_config::{Show, SupervisorOptions};
use mm_shared::sys::limits;
use mm_shared::wakeup::{WAKEUP_VARIABLE, WakeupMode};
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of the show waits for the last values to leave and for ports to close.
const BACKEND_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How many shows of one user may run whose files have the same name.
const SAME_NAME_LIMIT: u32 = 99;

/// Something that keeps a show from running, apart from its show file.
#[derive(Debug)]
pub struct StartError {
    /// What failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl StartError {
    /// An error of the system while doing `what`.
    pub fn system(what: &str, error: impl Display) -> Self {
        Self { message: format!("{what}: {error}"), hint: None }
    }

    /// Says it on standard error, in the words of the compiler.
    pub fn print(&self) {
        print_line(&format!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            print_line(&format!("hint: {hint}"));
        }
    }
}

impl From<RuntimeDirError> for StartError {
    fn from(error: RuntimeDirError) -> Self {
        Self { message: error.to_string(), hint: Some(error.hint().to_owned()) }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self { message: error.message, hint: error.hint }
    }
}

/// The verb-less command: runs a show.
#[must_use]
pub fn run(args: &RunArgs) -> ExitCode {
    match try_run(args) {
        Ok(status) => status,
        Err(error) => {
            error.print();
            ExitCode::FAILURE
        }
    }
}

fn try_run(args: &RunArgs) -> Result<ExitCode, StartError> {
    let hangup = Hangup::of(io::stderr().is_terminal(), args.keep_running);
    let signals =
        Signals::catch(hangup).map_err(|error| StartError::system("cannot catch signals", error))?;
    limits::raise_descriptor_limit();
    let settings = args.log.settings().map_err(|error| StartError::system("`MM_LOG`", error))?;
    let wakeup_mode =
        WakeupMode::from_env().map_err(|error| StartError::system(&format!("`{WAKEUP_VARIABLE}`"), error))?;
    let Some(chosen) = show_choice::choose(args) else { return Ok(ExitCode::from(2)) };
    let log_memory = Arc::new(LogMemory::default());
    let _log = log::init(settings, Arc::clone(&log_memory))
        .map_err(|error| StartError::system("cannot log", error))?;
    let (CheckedShow { show, plans, .. }, last_good) = chosen.announce();
    let program = find_worker(&show)?;
    signals.show_begins();
    let runtime_dir = RuntimeDir::create()?;
    let (sender, mailbox) =
        mailbox().map_err(|error| StartError::system("cannot make a descriptor", error))?;
    let to_loop = sender.clone();
    let report = move |report| {
        // Without a loop no worker is wanted.
        let _ = to_loop.send(LoopMessage::Launcher(report));
    };
    let launcher = launcher(program, &runtime_dir, report)?;
    let script_output =
        ScriptOutput::start().map_err(|error| StartError::system("cannot read what scripts print", error))?;
    let (instances, router) = (InstanceSet::new(&show), Router::new(RouteTable::new(&show)));
    let spare = Spare::new(show.directory.clone());
    let options = SupervisorOptions::of(&show);
    let _control =
        serve_clients(args.socket.as_ref().or(options.socket.as_ref()), &show, &sender, log_memory)?;
    let to_loop = sender.clone();
    let resolver = Resolver::new(move |answer| {
        // Without a loop no answer is wanted.
        let _ = to_loop.send(LoopMessage::HostResolved(answer));
    });
    let backends = BackendSet::open(plans, &show, resolver)?;
    let (state_file, saved) = open_state(&options)?;
    let origin =
        Origin { show: Arc::new(show), overrides: args.show.overrides(), state_dir: args.state_dir.clone() };
    let parts = Parts {
        backends,
        instances,
        router,
        launcher,
        mailbox,
        sender,
        signals,
        script_output,
        spare,
        origin: origin.clone(),
        state_file,
        saved,
        last_good,
    };
    let event_loop =
        EventLoop::new(parts).map_err(|error| StartError::system("cannot wait for events", error))?;
    tracing::info!(event = "show_starting", "starting `{}`", origin.show.path.display());
    log_wakeup_mode(wakeup_mode);
    cycles::warn(&origin.show);
    let result = event_loop.run();
    if !backends::wait_until_closed(BACKEND_CLOSE_TIMEOUT) {
        tracing::debug!(event = "backend_close_timed_out", "some ports are not closed yet; exiting");
    }
    result.map_err(|error| StartError::system("cannot wait for events", error))?;
    tracing::info!(event = "show_stopped", "stopped");
    Ok(ExitCode::SUCCESS)
}

/// Logs how loop and workers wait for events; at `info` where it is not as usual.
fn log_wakeup_mode(mode: WakeupMode) {
    match mode {
        WakeupMode::Adaptive => {
            tracing::debug!(event = "wakeup_mode", mode = %mode, "wake-up mode is `{mode}`");
        }
        WakeupMode::Plain => tracing::info!(
            event = "wakeup_mode",
            mode = %mode,
            "wake-up mode is `{mode}`: no polling, no naps, no pinning to CPUs"
        ),
    }
}

/// Opens the control socket: at `path`, or else at the show's default path. A show of another file
/// with the same name may have that; then a number is added.
fn serve_clients(
    path: Option<&PathBuf>,
    show: &Show,
    post: &MailboxSender<LoopMessage>,
    log: Arc<LogMemory>,
) -> Result<ControlServer, StartError> {
    let serve = |path: &Path| {
        let post = post.clone();
        let submit = move |request| post.send(LoopMessage::Control(request));
        ControlServer::start(path, ClientLimits::default(), Arc::clone(&log), submit)
    };
    let is_other = |path: &Path| client::show_file(path).is_some_and(|file| !is_same(&file, &show.path));
    let default = |number| control::socket_path(&show.name, number);
    let mut outcome = serve(path.unwrap_or(&default(1)));
    for number in 2..=SAME_NAME_LIMIT {
        let is_taken = outcome.as_ref().is_err_and(ControlServerError::is_taken);
        if path.is_some() || !is_taken || !is_other(&default(number - 1)) {
            break;
        }
        outcome = serve(&default(number));
    }
    outcome.map_err(|error| StartError { message: error.to_string(), hint: error.hint().map(str::to_owned) })
}

/// Whether two paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Reads the state file, and starts to keep it up to date, if the show has one.
fn open_state(options: &SupervisorOptions) -> Result<(Option<StateFile>, Saved), StartError> {
    let Some(path) = &options.state_file else { return Ok((None, Saved::default())) };
    let state::LoadedState { saved, warning } = state::load(path);
    if let Some(warning) = warning {
        tracing::warn!(event = "state_unusable", "{warning}");
    }
    let state_file =
        StateFile::start(path.clone()).map_err(|error| StartError::system("cannot start a thread", error))?;
    Ok((Some(state_file), saved))
}

/// The worker's program. A show without Python needs none so far.
///
/// # Errors
///
/// It is missing, does not run, or is of another version.
pub fn find_worker(show: &Show) -> Result<Option<PathBuf>, StartError> {
    if !show.instances.iter().any(|instance| instance.backend == PYTHON) {
        return Ok(None);
    }
    worker_binary::find()
        .map(Some)
        .map_err(|error| StartError { message: error.to_string(), hint: Some(error.hint().to_owned()) })
}

/// All that it takes to start workers; `report` is called by the launcher thread.
///
/// # Errors
///
/// The system refuses a descriptor, a thread or the directory.
pub fn launcher(
    program: Option<PathBuf>,
    runtime_dir: &RuntimeDir,
    report: impl Fn(LauncherReport) + Send + 'static,
) -> Result<WorkerLauncher, StartError> {
    WorkerLauncher::start(program, runtime_dir.path().to_owned(), report)
        .map_err(|error| StartError::system("cannot prepare to start workers", error))
}
