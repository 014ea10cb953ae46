//! Looks after the worker that serves: whether it hangs, whether it has grown too large, and whether it can still be spoken
//! to.

use super::context::LoopContext;
use super::exit::ExitReason;
use super::instance::ScriptInstance;
use super::lifecycle::{self, State};
use super::watchdog::{Look, Watchdog};
use mm_shared::Activity;
use mm_shared::sys::process::{is_traced, resident};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// How often memory is looked at.
const MEMORY_PERIOD: Duration = Duration::from_secs(1);

/// How long a worker may take to end after its control channel did, which happens first when it ends: a large one gives
/// back its memory in between.
const MUTE: Duration = Duration::from_secs(5);

/// What a worker is not to exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may be without progress.
    pub watchdog: Option<Duration>,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
}

/// Looks after one worker.
pub struct HealthMonitor {
    watchdog: Option<Watchdog>,
    memory: Option<(u64, Instant)>,
    /// Its control channel has ended: until when the rest of it has to.
    mute_until: Option<Instant>,
}

impl HealthMonitor {
    /// Looks after a worker that serves from `now` on.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            watchdog: limits.watchdog.map(|limit| Watchdog::new(limit, now)),
            memory: limits.memory.map(|limit| (limit, now + MEMORY_PERIOD)),
            mute_until: None,
        }
    }

    /// The worker's control channel has ended.
    pub fn expect_end(&mut self, now: Instant) {
        self.mute_until = Some(now + MUTE);
    }

    /// When to look next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let watchdog = self.watchdog.as_ref().map(Watchdog::deadline);
        let memory = self.memory.map(|(_, next)| next);
        watchdog.into_iter().chain(memory).chain(self.mute_until).min()
    }

    /// Says by how much a process is over its memory limit, if it is time to look and it is.
    fn look_at_memory(&mut self, pid: Option<Pid>, now: Instant) -> Option<ExitReason> {
        let (limit, next) = self.memory.as_mut().filter(|(_, next)| *next <= now)?;
        *next = now + MEMORY_PERIOD;
        let used = resident(pid?.as_raw())?;
        (used > *limit).then_some(ExitReason::OverMemory { used, limit: *limit })
    }
}

impl ScriptInstance {
    /// A worker that is ending has other time limits.
    fn is_patrolled(&self) -> bool {
        self.serving && matches!(self.lifecycle.state(), State::Running { .. } | State::Reloading { .. })
    }

    pub(super) fn patrol_deadline(&self) -> Option<Instant> {
        self.patrol.as_ref().filter(|_| self.is_patrolled()).and_then(HealthMonitor::deadline)
    }

    /// Looks after the worker, if one serves and it is time to.
    pub(super) fn patrol(&mut self, cx: &mut LoopContext<'_>) {
        let now = cx.now;
        if !self.is_patrolled() {
            return;
        }
        let (Some(worker), Some(patrol)) = (self.current.as_mut(), self.patrol.as_mut()) else { return };
        if let Some(ending) = patrol.look_at_memory(worker.pid(), now) {
            tracing::error!(instance = %self.name, "the worker is {ending}");
            worker.ending = Some(ending);
            self.step(lifecycle::Event::Fault, cx);
            return;
        }
        if patrol.mute_until.is_some_and(|until| until <= now) {
            self.violated("it has closed its control channel and goes on", cx);
            return;
        }
        let Some(watchdog) = patrol.watchdog.as_mut().filter(|watchdog| watchdog.deadline() <= now) else {
            return;
        };
        match self.flow.waiting(&mut worker.end) {
            Ok(waiting) => {
                let look = Look { doing: worker.end.progress.activity(), waiting };
                if let Some(hung) = watchdog.look(look, now)
                    && !worker.pid().is_some_and(|pid| is_traced(pid.as_raw()))
                {
                    self.hangs(look, hung, cx);
                }
            }
            Err(violation) => self.violated(&violation.to_string(), cx),
        }
    }

    fn hangs(&mut self, look: Look, hung: Duration, cx: &mut LoopContext<'_>) {
        let Some(worker) = self.current.as_mut() else { return };
        let place = match (look.doing.activity, worker.end.down.in_hand()) {
            (Some(Activity::Handler), Some(event)) => {
                format!("in the handler of `{}` = {}", self.flow.values.name(event.channel), event.value)
            }
            (Some(Activity::Handler), None) => "in a handler".into(),
            (Some(Activity::Interval), _) => "in a callable of `interval`".into(),
            (Some(Activity::Socket), _) => {
                format!("in a callable of `manage`, descriptor {}", look.doing.subject)
            }
            _ => format!("without taking its {} events", look.waiting),
        };
        worker.ending = Some(ExitReason::Hang(place.clone()));
        let seconds = hung.as_secs_f64();
        tracing::error!(
            instance = %self.name,
            "no progress for {seconds:.1} s {place}; the worker is killed, its stacks follow"
        );
        self.step(lifecycle::Event::Hang, cx);
    }
}
