//! The status of an instance, for clients.

use super::ScriptInstance;
use crate::instances::data_plane::failsafe::GIVE_BACK_DELAY;
use crate::instances::history::History;
use crate::instances::script_worker::ScriptWorker;
use crate::instances::supervision::Supervision;
use crate::instances::supervision::lifecycle::LifeState;
use crate::script_output::ScriptOutput;
use crate::status::{HandlerTimes, InstanceState, InstanceStatus, LastError, LastExit};
use mm_shared::ChannelId;
use mm_shared::sys::memory::resident;
use std::time::{Duration, Instant};

/// The state, in the words of `status`.
pub fn state(supervision: &Supervision<ScriptWorker>) -> InstanceState {
    match supervision.state() {
        LifeState::Stopped => InstanceState::Stopped,
        LifeState::Starting { .. } => InstanceState::Starting,
        LifeState::Running { .. } if supervision.is_serving() => InstanceState::Running,
        // Its predecessor still handles its last event.
        LifeState::Running { .. } | LifeState::Reloading { .. } => InstanceState::Reloading,
        LifeState::Stopping { .. } => InstanceState::Stopping,
        LifeState::Backoff { .. } => InstanceState::Backoff,
        LifeState::Failed => InstanceState::Failed,
    }
}

/// The process of the worker that serves, or will.
pub fn pid(supervision: &Supervision<ScriptWorker>) -> Option<i32> {
    supervision.workers().main()?.worker.pid().map(|pid| pid.as_raw())
}

impl ScriptInstance {
    /// Whether its first start has come to an end, and what its script sends by itself has been
    /// collected.
    #[must_use]
    pub fn has_settled(&self, now: Instant) -> bool {
        let Some(member) = self.supervision.workers().main().filter(|_| self.is_serving()) else {
            return self.has_started();
        };
        let since = member.worker.served_since().filter(|_| member.worker.has_begun_to_serve());
        since.is_some_and(|since| now >= since + GIVE_BACK_DELAY)
    }

    /// The channels that failsafe has set: what to, and their last values of their own.
    pub fn failsafe_values(&self) -> impl Iterator<Item = (ChannelId, f64, f64)> {
        self.data.failsafe_values()
    }
}

/// The status; `waiting` events are in the worker's ring.
pub fn status(
    instance: &ScriptInstance,
    waiting: usize,
    script_output: &ScriptOutput,
    now: Instant,
) -> InstanceStatus {
    let ScriptInstance { name, supervision, data, history, .. } = instance;
    let worker = supervision.workers().main().map(|member| &member.worker);
    let progress = worker.map(|worker| &worker.process.end.progress);
    let since = worker.and_then(ScriptWorker::served_since).filter(|_| supervision.is_serving());
    let next_start = match supervision.state() {
        LifeState::Backoff { until } => Some(until.saturating_duration_since(now)),
        _ => None,
    };
    let (queued, conflated) = data.queue();
    InstanceStatus {
        name: name.clone(),
        backend: "python".into(),
        state: state(supervision),
        pid: pid(supervision).and_then(|pid| u32::try_from(pid).ok()),
        uptime_s: since.map(|since| now.saturating_duration_since(since).as_secs()),
        next_start_ms: next_start.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
        restarts: Some(history.restarts()),
        restarts_by_fault: Some(history.restarts_by_fault()),
        last_error: history
            .last_error()
            .map(|error| LastError { text: error.text.clone(), at: error.at.to_string() }),
        last_exit: last_exit(history, script_output),
        errors: history.errors().saturating_add(progress.map_or(0, |progress| progress.errors())),
        queued: Some((queued + waiting) as u64),
        conflated: Some(conflated),
        rss_bytes: worker.and_then(|worker| resident(worker.pid()?.as_raw())),
        handler_us: progress.and_then(|progress| {
            let times = progress.handler_times();
            let micros = |time: Option<Duration>| time.map(|time| time.as_nanos() as f64 / 1000.0);
            Some(HandlerTimes {
                p50: micros(times.percentile(0.5))?,
                p99: micros(times.percentile(0.99))?,
                max: micros(times.max())?,
            })
        }),
        note: note(instance),
        ..InstanceStatus::default()
    }
}

/// Why the instance does not run what the show and its files say.
fn note(instance: &ScriptInstance) -> Option<String> {
    let rolled_back = instance.versions.reason();
    let rolled_back =
        rolled_back.map(|reason| format!("serves the last good version of the script: {reason}"));
    rolled_back
        .or_else(|| instance.failed_next().map(|reason| format!("runs what it ran before HUP: {reason}")))
        .or_else(|| instance.supervision.workers().main()?.worker.remarks.note())
}

fn last_exit(history: &History, script_output: &ScriptOutput) -> Option<LastExit> {
    let exit = history.last_exit()?;
    let tail = exit.worker_id.map(|worker_id| script_output.tail(worker_id));
    Some(LastExit {
        reason: exit.reason.clone(),
        at: exit.at.to_string(),
        stderr_tail: tail.filter(|tail| !tail.is_empty()),
        traceback: exit.traceback.clone(),
    })
}
