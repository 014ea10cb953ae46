//! What an instance writes into the log.

use crate::instances::data_plane::values::Values;
use crate::instances::exit::ExitReason;
use crate::instances::supervision::lifecycle::LifeState;
use crate::instances::supervision::watchdog::Look;
use crate::instances::supervision::workers::Role;
use mm_shared::control::{Failure, FromWorker};
use mm_shared::progress::ActivitySnapshot;
use mm_shared::{Activity, Event};
use std::time::{Duration, Instant};

pub fn ready(name: &str, pid: i32, took: u128, is_reload: bool) {
    let what = if is_reload { "reloaded, ready" } else { "ready" };
    tracing::info!(event = "worker_ready", instance = %name, pid, "{what} after {took} ms");
}

pub fn start_timeout(name: &str) {
    tracing::error!(
        event = "start_timed_out",
        instance = %name,
        "the modules were not imported within `start-timeout`; dumping stacks, then killing the worker"
    );
}

pub fn replacement_timeout(name: &str) {
    tracing::error!(
        event = "reload_timed_out",
        instance = %name,
        "reload failed, previous worker keeps running: the modules were not imported within `start-timeout`; \
         dumping their stacks"
    );
}

pub fn stop_timeout(name: &str) {
    tracing::warn!(
        event = "stop_timed_out",
        instance = %name,
        "did not stop within `stop-timeout`; dumping stacks, then SIGTERM"
    );
}

pub fn giving_up(name: &str) {
    tracing::error!(
        event = "restarts_exhausted",
        instance = %name,
        "restarted more often than `max-restarts` allows, giving up"
    );
}

pub fn not_started(name: &str, error: &str) {
    tracing::error!(event = "worker_not_started", instance = %name, "worker could not be started: {error}");
}

pub fn reload_failed(name: &str, reason: &str) {
    tracing::error!(
        event = "reload_failed",
        instance = %name,
        "reload failed, previous worker keeps running: {reason}"
    );
}

pub fn fallback(name: &str, reason: &str) {
    tracing::warn!(
        event = "reload_replaced_by_restart",
        instance = %name,
        "the script cannot run twice at once ({reason}); restarting it instead"
    );
}

/// Names of the state file that a script may not add.
pub fn names_left_out(name: &str, count: usize) {
    if count > 0 {
        tracing::warn!(
            event = "names_left_out",
            instance = %name,
            "{count} channels of the state file are not restored: \
             they are more names than a script may add"
        );
    }
}

pub fn reload_refused(name: &str, channels: &str) {
    tracing::error!(
        event = "reload_refused",
        instance = %name,
        "the changed script has no handler for {channels}, previous worker keeps running\n\
         hint: `mm-supervisor reload {name}` loads it as it is"
    );
}

pub fn handlers_lost(name: &str, channels: &str) {
    tracing::warn!(
        event = "handlers_lost",
        instance = %name,
        "the new script has no handler for {channels}, which the old one had"
    );
}

pub fn rolling_back(name: &str, reason: &str) {
    tracing::error!(
        event = "script_rolled_back",
        instance = %name,
        "the script cannot be started: {reason}; starting its last good version"
    );
}

pub fn sources_reported(name: &str, files: usize) {
    tracing::debug!(event = "sources_reported", instance = %name, files, "has loaded files of the script");
}

pub fn last_good_serves(name: &str, reason: &str) {
    tracing::warn!(
        event = "last_good_version_serving",
        instance = %name,
        "serves the last good version of the script, not the files as they are: {reason}"
    );
}

pub fn violation(name: &str, what: &str) {
    tracing::error!(
        event = "protocol_violated",
        instance = %name,
        "protocol violation, killing worker: {what}"
    );
}

pub fn over_memory(name: &str, reason: &ExitReason) {
    tracing::error!(event = "memory_limit_exceeded", instance = %name, "worker {reason}");
}

pub fn yielded_unasked(name: &str) {
    tracing::warn!(
        event = "worker_stopping_unasked",
        instance = %name,
        "worker stops without being asked to (SIGTERM?); waiting for its cleanup handler"
    );
}

/// A worker hangs at `place`.
pub fn hang(name: &str, time: Duration, place: &str) {
    let seconds = time.as_secs_f64();
    tracing::error!(
        event = "worker_hung",
        instance = %name,
        "no progress for {seconds:.1} s {place}; dumping stacks, then killing the worker"
    );
}

/// Where a worker hangs.
pub fn hang_place(look: Look, callable: Option<&str>, in_hand: Option<Event>, values: &Values) -> String {
    match (look.doing.activity, in_hand) {
        (Some(Activity::Handler), Some(event)) => {
            format!("in the handler of `{}` = {}", values.name(event.channel), event.value)
        }
        (Some(Activity::Handler), None) => "in a handler".into(),
        (Some(Activity::Interval), _) => in_interval(callable),
        (Some(Activity::Socket), _) => in_manage(callable, look.doing.subject),
        _ => format!("without taking its {} events", look.waiting),
    }
}

/// What a worker was doing when it ended, as far as that points to the cause.
pub fn exit_place(
    doing: ActivitySnapshot,
    callable: Option<&str>,
    in_hand: Option<Event>,
    values: &Values,
) -> String {
    if let Some(Event { channel, value }) = in_hand {
        let name = values.name(channel);
        return format!(" while handling `{name}` = {value} (the probable cause, not delivered again)");
    }
    match doing.activity {
        Some(Activity::Import) => " during import".into(),
        Some(Activity::Interval) => format!(" {}", in_interval(callable)),
        Some(Activity::Socket) => format!(" {}", in_manage(callable, doing.subject)),
        Some(Activity::Cleanup) => " in the cleanup handler".into(),
        _ => String::new(),
    }
}

fn in_interval(callable: Option<&str>) -> String {
    match callable {
        Some(name) => format!("in `{name}`, called by `interval`"),
        None => "in a callable of `interval`".into(),
    }
}

fn in_manage(callable: Option<&str>, descriptor: u32) -> String {
    match callable {
        Some(name) => format!("in `{name}`, called by `manage` for descriptor {descriptor}"),
        None => format!("in a callable of `manage`, descriptor {descriptor}"),
    }
}

/// An import failed, as it has `repeats` times before without another end since.
pub fn import_failed(name: &str, failure: &Failure, repeats: u64) {
    let Failure { subject, summary, traceback, hint, .. } = failure;
    if repeats > 0 {
        let attempt = repeats + 1;
        tracing::error!(
            event = "import_failed",
            instance = %name,
            attempt,
            "{subject}, for the same reason as before: {summary}"
        );
        return;
    }
    let hint = hint.as_ref().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    if traceback.trim_end().contains('\n') {
        tracing::error!(
            event = "import_failed",
            instance = %name,
            traceback = %traceback,
            "{subject}: {summary}{hint}"
        );
    } else {
        tracing::error!(event = "import_failed", instance = %name, "{subject}: {summary}{hint}");
    }
}

/// The script sends on a name that no mapping uses.
pub fn output_unmapped(name: &str, channel: &str, hint: Option<String>, suppressed: u64) {
    let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    let more = match suppressed {
        0 => String::new(),
        count => format!(" ({count} other names before it are not shown)"),
    };
    tracing::warn!(
        event = "output_unmapped",
        instance = %name,
        "the script sends on `{channel}`, which no mapping uses: nothing is sent{more}{hint}"
    );
}

/// More events wait than the queue keeps in order.
pub fn queue_overflowed(name: &str, limit: usize, conflated: u64) {
    tracing::warn!(
        event = "queue_overflowed",
        instance = %name,
        conflated,
        "more than `queue` = {limit} events wait: only the last value of each channel is kept"
    );
}

/// What a worker has to say to the user.
pub fn worker_message(name: &str, message: FromWorker) {
    match message {
        FromWorker::Warning(text) => {
            tracing::warn!(event = "script_warned", instance = %name, "{text}");
        }
        FromWorker::Error { place, traceback, suppressed } => {
            let more = match suppressed {
                0 => String::new(),
                count => format!(" (and {count} before it that are not shown)"),
            };
            script_raised(name, &format!("exception in {place}{more}"), traceback.trim_end());
        }
        _ => {}
    }
}

/// One line of an exception needs no place of its own.
fn script_raised(name: &str, what: &str, traceback: &str) {
    if traceback.contains('\n') {
        tracing::error!(event = "script_raised", instance = %name, traceback = %traceback, "{what}");
    } else {
        tracing::error!(event = "script_raised", instance = %name, "{what}: {traceback}");
    }
}

/// The end of a worker.
pub struct Exit<'a> {
    /// The role that it had.
    pub role: Role,
    /// Why it ended.
    pub reason: &'a ExitReason,
    /// The same in words, with what it was doing.
    pub text: &'a str,
    /// Whether an event was in its hand, which is lost.
    pub lost_event: bool,
    /// Whether it was ended as the user wants it, by a signal.
    pub was_asked: bool,
    /// Whether its replacement takes its place.
    pub promotes: bool,
}

/// A worker has ended, and the instance is in this `state` now.
pub fn exit(name: &str, exit: &Exit<'_>, state: LifeState, now: Instant) {
    let Exit { role, reason, text, lost_event, was_asked, promotes } = *exit;
    let next = match state {
        _ if !role.is_main() => String::new(),
        _ if promotes => "; its replacement takes over".to_owned(),
        LifeState::Starting { .. } => "; restarting at once".to_owned(),
        LifeState::Backoff { until } => {
            format!("; restarting in {} ms", until.saturating_duration_since(now).as_millis())
        }
        LifeState::Failed => "; not restarting".to_owned(),
        _ => String::new(),
    };
    match (role, reason) {
        (_, ExitReason::Stopped) => {
            tracing::info!(event = "worker_stopped", instance = %name, "worker stopped{next}");
        }
        (Role::HandingOver | Role::Retiring, _) if !lost_event => {
            tracing::debug!(event = "worker_exited", instance = %name, "worker exited: {text}");
        }
        // Why it was not given more time is in the log already.
        _ if was_asked && !lost_event => {
            tracing::info!(event = "worker_exited", instance = %name, "worker exited: {text}{next}");
        }
        // Its traceback is in the log already.
        (Role::Replacement, ExitReason::ImportFailed(_)) => tracing::error!(
            event = "reload_failed",
            instance = %name,
            "reload failed, previous worker keeps running"
        ),
        (Role::Replacement, _) => reload_failed(name, text),
        (_, ExitReason::ImportFailed(_)) => {
            tracing::error!(event = "import_ended_worker", instance = %name, "not started{next}");
        }
        (_, ExitReason::NotStarted(_)) => {
            tracing::error!(event = "worker_not_started", instance = %name, "worker {text}{next}");
        }
        _ => tracing::error!(event = "worker_exited", instance = %name, "worker exited: {text}{next}"),
    }
}
