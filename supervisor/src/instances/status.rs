//! How an instance stands, for `status`.

use super::InstanceSet;
use super::context::LoopContext;
use super::instance::ScriptInstance;
use super::lifecycle::{self, State as Life};
use super::transition::Transition;
use super::values::Values;
use crate::ids::InstanceId;
use crate::script_output::Drain;
use crate::state::SavedChannel;
use crate::status::{HandlerTimes, InstanceState, InstanceStatus, LastExit};
use mm_shared::sys::process::resident;
use std::time::{Duration, Instant};

impl InstanceSet {
    /// How an instance stands; `None` if it is no Python instance.
    #[must_use]
    pub fn standing(&mut self, no: InstanceId, drain: &Drain, now: Instant) -> Option<InstanceStatus> {
        Some(self.find(no)?.standing(drain, now))
    }

    /// What instances have come to since this was last asked.
    pub fn transitions(&mut self) -> Vec<(InstanceId, Transition)> {
        let each = self.instances.iter_mut().filter(|instance| !instance.transitions.is_empty());
        each.flat_map(|instance| {
            let no = instance.no;
            instance.transitions.drain(..).map(move |transition| (no, transition)).collect::<Vec<_>>()
        })
        .collect()
    }
}

impl InstanceSet {
    fn get(&self, no: InstanceId) -> Option<&ScriptInstance> {
        self.instances.get(self.index.get(no.0).copied().flatten()?)
    }

    /// Does something to an instance for a user.
    pub fn act(&mut self, no: InstanceId, event: lifecycle::Event, cx: &mut LoopContext<'_>) {
        if let Some(instance) = self.find(no) {
            instance.step(event, cx);
        }
    }

    /// The state of an instance, and the process id of its worker.
    #[must_use]
    pub fn state(&self, id: InstanceId) -> Option<(InstanceState, Option<i32>)> {
        let instance = self.get(id)?;
        Some((instance.state(), instance.pid()))
    }

    /// Brings the values of all instances up to date. Says whether events are under way that will change them.
    pub fn settle_values(&mut self) -> bool {
        let mut under_way = false;
        for instance in &mut self.instances {
            under_way |= instance.settle_values();
        }
        under_way
    }

    /// The last values of an instance's channels; `None` if it is no Python instance.
    #[must_use]
    pub fn values(&self, no: InstanceId) -> Option<&Values> {
        Some(&self.get(no)?.flow.values)
    }

    /// Puts back the values of an instance's channels from the last run. Returns whether it is a script instance.
    pub fn restore(&mut self, no: InstanceId, saved: &[&SavedChannel]) -> bool {
        let Some(instance) = self.find(no) else { return false };
        instance.flow.values.restore(saved.iter().map(|saved| (&*saved.channel, saved.input, saved.output)));
        true
    }
}

impl ScriptInstance {
    /// What it is doing, in the words of `status`.
    #[must_use]
    pub fn state(&self) -> InstanceState {
        match self.lifecycle.state() {
            Life::Stopped => InstanceState::Stopped,
            Life::Starting { .. } => InstanceState::Starting,
            Life::Running { .. } => InstanceState::Running,
            Life::Reloading { .. } => InstanceState::Reloading,
            Life::Stopping { .. } => InstanceState::Stopping,
            Life::Backoff { .. } => InstanceState::Backoff,
            Life::Failed => InstanceState::Failed,
        }
    }

    /// The process of the worker that serves, or will.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.current.as_ref()?.pid().map(|pid| pid.as_raw())
    }

    fn settle_values(&mut self) -> bool {
        let Some(worker) = self.current.as_mut().filter(|_| self.serving) else { return false };
        // a cursor that cannot be is found out when events are handed over
        let waiting = self.flow.waiting(&mut worker.end).unwrap_or(0);
        waiting > 0 || worker.end.down.in_hand().is_some()
    }

    fn standing(&mut self, drain: &Drain, now: Instant) -> InstanceStatus {
        // a cursor that cannot be is found out when events are handed over; here it only counts for nothing
        let worker = self.current.as_mut().filter(|_| self.serving);
        let waiting = worker.map_or(0, |worker| self.flow.waiting(&mut worker.end).unwrap_or(0));
        let progress = self.current.as_ref().map(|worker| &worker.end.progress);
        let since = self.serving_since.filter(|_| self.serving);
        let next_start = match self.lifecycle.state() {
            Life::Backoff { until } => Some(until.saturating_duration_since(now)),
            _ => None,
        };
        InstanceStatus {
            name: self.name.clone(),
            backend: "python".into(),
            state: self.state(),
            pid: self.pid().and_then(|pid| u32::try_from(pid).ok()),
            uptime_s: since.map(|since| now.saturating_duration_since(since).as_secs()),
            next_start_ms: next_start.and_then(|wait| u64::try_from(wait.as_millis()).ok()),
            restarts: Some(self.starts.saturating_sub(1)),
            last_exit: self.last_exit(drain),
            errors: self.past_errors.saturating_add(progress.map_or(0, |progress| progress.errors())),
            queued: Some((self.flow.queued() + waiting) as u64),
            conflated: Some(self.flow.conflated()),
            rss_bytes: self.current.as_ref().and_then(|worker| resident(worker.pid()?.as_raw())),
            handler_us: progress.and_then(|progress| {
                let times = progress.handler_times();
                let micros = |time: Option<Duration>| time.map(|time| time.as_nanos() as f64 / 1000.0);
                Some(HandlerTimes {
                    p50: micros(times.percentile(0.5))?,
                    p99: micros(times.percentile(0.99))?,
                    max: micros(times.max())?,
                })
            }),
            ..InstanceStatus::default()
        }
    }

    fn last_exit(&self, drain: &Drain) -> Option<LastExit> {
        let exit = self.last_exit.as_ref()?;
        let tail = exit.worker_id.map(|worker_id| drain.tail(worker_id));
        Some(LastExit {
            reason: exit.reason.clone(),
            at: exit.at.to_string(),
            stderr_tail: tail.filter(|tail| !tail.is_empty()),
            traceback: exit.traceback.clone(),
        })
    }
}
