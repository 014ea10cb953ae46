//! The transitions of an instance's life, with invented times.

use super::{Action, AfterExit, IMPORT_PATIENCE, LifeEvent, LifeState, Lifecycle, Policy, StepContext};
use crate::instances::options::RestartRule;
use std::time::{Duration, Instant};

/// The policy of an instance without options of its own, shared with the tests of the supervision.
pub(in super::super) fn policy() -> Policy {
    Policy {
        restart: RestartRule::Always,
        backoff: Duration::from_millis(100),
        backoff_max: Duration::from_secs(30),
        stable: Duration::from_secs(10),
        max_restarts: None,
        start_timeout: Duration::from_secs(30),
        stop_timeout: Duration::from_secs(2),
    }
}

/// A life with a clock of its own.
struct Life {
    lifecycle: Lifecycle,
    policy: Policy,
    now: Instant,
}

impl Life {
    fn new() -> Self {
        Self { lifecycle: Lifecycle::default(), policy: policy(), now: Instant::now() }
    }

    fn running() -> Self {
        let mut life = Self::new();
        assert_eq!(life.step(LifeEvent::Start), [Action::Spawn]);
        assert_eq!(life.step(LifeEvent::Ready), [Action::Serve]);
        life
    }

    fn step(&mut self, event: LifeEvent) -> Vec<Action> {
        let (now, policy) = (self.now, &self.policy);
        let context = StepContext { now, jitter: 0.0, policy, is_handing_over: false };
        let actions = self.lifecycle.step(event, context);
        // It is always its turn at once.
        if actions.iter().any(|action| matches!(action, Action::Spawn | Action::SpawnReplacement)) {
            assert_eq!(self.lifecycle.step(LifeEvent::Begun, context), []);
        }
        actions
    }

    fn state(&self) -> LifeState {
        self.lifecycle.state()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Waits for the deadline and ticks.
    fn next_tick(&mut self) -> Vec<Action> {
        self.now = self.lifecycle.deadline().expect("a deadline");
        self.step(LifeEvent::Tick)
    }

    /// The worker ends, comes back after the back-off and is ready; returns the back-off.
    fn crash_and_return(&mut self) -> Duration {
        let crashed = self.now;
        if self.step(LifeEvent::Exited { clean: false }).is_empty() {
            assert_eq!(self.next_tick(), [Action::Spawn]);
        }
        let waited = self.now - crashed;
        assert_eq!(self.step(LifeEvent::Ready), [Action::Serve]);
        waited
    }
}

#[test]
fn an_instance_that_always_dies_just_before_it_is_stable_waits_ever_longer() {
    let mut life = Life::running();
    let mut waits = Vec::new();
    for _ in 0..12 {
        life.wait(life.policy.stable - Duration::from_millis(1));
        waits.push(life.crash_and_return().as_millis());
    }
    assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
}

#[test]
fn one_crash_a_month_is_answered_at_once_each_time() {
    let mut life = Life::running();
    for _ in 0..24 {
        life.wait(Duration::from_secs(30 * 24 * 3600));
        assert_eq!(life.crash_and_return(), Duration::ZERO);
    }
}

#[test]
fn a_hang_after_a_stable_time_is_answered_at_once_too() {
    let mut life = Life::running();
    life.crash_and_return();
    life.wait(life.policy.stable);
    assert_eq!(life.step(LifeEvent::Hang), [Action::DumpStacks]);
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Spawn]);
}

#[test]
fn a_user_s_restart_forgives_all_failures() {
    let mut life = Life::running();
    for _ in 0..5 {
        life.crash_and_return();
    }
    assert_eq!(life.step(LifeEvent::Restart), [Action::RequestStop]);
    assert_eq!(life.step(LifeEvent::Exited { clean: true }), [Action::Spawn]);
    life.step(LifeEvent::Ready);
    assert_eq!(life.crash_and_return(), Duration::ZERO);
}

#[test]
fn more_restarts_than_allowed_are_the_end_until_the_user_starts_it() {
    let mut life = Life::running();
    life.policy.max_restarts = Some((3, Duration::from_secs(60)));
    for _ in 0..3 {
        life.crash_and_return();
    }
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::GiveUp]);
    assert_eq!((life.state(), life.lifecycle.deadline()), (LifeState::Failed, None));
    assert_eq!(life.step(LifeEvent::Start), [Action::Spawn]);
    life.step(LifeEvent::Ready);
    assert_eq!(life.crash_and_return(), Duration::ZERO);
}

#[test]
fn the_restart_rule_decides_what_follows_an_end() {
    let cases = [
        (RestartRule::Always, true, vec![Action::Spawn]),
        (RestartRule::Always, false, vec![Action::Spawn]),
        (RestartRule::OnFailure, true, vec![]),
        (RestartRule::OnFailure, false, vec![Action::Spawn]),
        (RestartRule::Never, true, vec![]),
        (RestartRule::Never, false, vec![]),
    ];
    for (rule, clean, actions) in cases {
        let mut life = Life::running();
        life.policy.restart = rule;
        assert_eq!(life.step(LifeEvent::Exited { clean }), actions, "{rule:?}, clean: {clean}");
    }
}

#[test]
fn a_stop_during_back_off_cancels_the_restart() {
    let mut life = Life::running();
    life.crash_and_return();
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), []);
    assert!(matches!(life.state(), LifeState::Backoff { .. }));
    assert_eq!(life.step(LifeEvent::Stop), []);
    assert_eq!((life.state(), life.lifecycle.deadline()), (LifeState::Stopped, None));
}

#[test]
fn a_restart_during_start_starts_one_worker_after_the_other() {
    let mut life = Life::new();
    life.step(LifeEvent::Start);
    assert_eq!(life.step(LifeEvent::Restart), [Action::Kill]);
    for _ in 0..100 {
        assert_eq!(life.step(LifeEvent::Restart), []);
    }
    assert_eq!(life.step(LifeEvent::Ready), []);
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Spawn]);
}

#[test]
fn the_last_word_counts_while_a_worker_is_ending() {
    for (words, actions) in [
        (vec![LifeEvent::Stop, LifeEvent::Start], vec![Action::Spawn]),
        (vec![LifeEvent::Restart, LifeEvent::Stop], vec![]),
        (vec![LifeEvent::Stop, LifeEvent::Restart, LifeEvent::Stop], vec![]),
        (vec![LifeEvent::Hang, LifeEvent::Stop], vec![]),
        (vec![LifeEvent::Hang, LifeEvent::Restart], vec![Action::Spawn]),
    ] {
        let mut life = Life::running();
        for word in &words {
            life.step(*word);
        }
        assert_eq!(life.step(LifeEvent::Exited { clean: false }), actions, "{words:?}");
    }
}

#[test]
fn an_import_that_takes_too_long_is_ended_with_its_stacks() {
    let mut life = Life::new();
    life.step(LifeEvent::Start);
    assert_eq!(life.next_tick(), [Action::LogStartTimeout, Action::DumpStacks]);
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Spawn]);
}

#[test]
fn a_reload_swaps_when_the_successor_is_ready() {
    let mut life = Life::running();
    assert_eq!(life.step(LifeEvent::Reload), [Action::SpawnReplacement]);
    assert_eq!(life.step(LifeEvent::ReplacementReady), [Action::Swap]);
    assert!(matches!(life.state(), LifeState::Running { .. }));
}

#[test]
fn a_reload_that_fails_or_takes_too_long_changes_nothing() {
    let mut life = Life::running();
    let before = life.state();
    life.step(LifeEvent::Reload);
    assert_eq!(life.step(LifeEvent::ReplacementFailed), [Action::DropReplacement]);
    assert_eq!(life.state(), before);
    life.step(LifeEvent::Reload);
    assert_eq!(life.next_tick(), [Action::LogReplacementTimeout]);
    assert_eq!(life.state(), before);
}

#[test]
fn reloads_while_a_replacement_imports_are_followed_by_one_more() {
    for (event, action) in
        [(LifeEvent::ReplacementReady, Action::Swap), (LifeEvent::ReplacementFailed, Action::DropReplacement)]
    {
        let mut life = Life::running();
        life.step(LifeEvent::Reload);
        for _ in 0..1_000 {
            assert_eq!(life.step(LifeEvent::Reload), []);
        }
        assert_eq!(life.step(event), [action, Action::SpawnReplacement]);
        assert_eq!(life.step(event), [action]);
        assert!(matches!(life.state(), LifeState::Running { .. }));
    }
}

#[test]
fn a_reload_during_a_start_is_followed_by_one_more() {
    let mut life = Life::new();
    life.step(LifeEvent::Start);
    assert_eq!(life.step(LifeEvent::Reload), []);
    assert_eq!(life.step(LifeEvent::Ready), [Action::Serve, Action::SpawnReplacement]);
    let mut life = Life::new();
    life.step(LifeEvent::Start);
    life.crash_and_return();
    life.step(LifeEvent::Exited { clean: false });
    life.next_tick();
    assert_eq!(life.step(LifeEvent::Reload), []);
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Spawn], "without a back-off");
}

#[test]
fn a_reload_ends_an_import_that_seems_to_hang() {
    let mut life = Life::running();
    life.step(LifeEvent::Reload);
    life.wait(IMPORT_PATIENCE);
    assert_eq!(life.step(LifeEvent::Reload), [Action::DropReplacement, Action::SpawnReplacement]);
    let mut life = Life::new();
    life.step(LifeEvent::Start);
    life.wait(IMPORT_PATIENCE);
    assert_eq!(life.step(LifeEvent::Reload), [Action::Kill]);
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Spawn]);
}

#[test]
fn what_waits_for_its_turn_can_be_cancelled_and_has_no_deadline() {
    let policy = policy();
    let context = StepContext { now: Instant::now(), jitter: 0.0, policy: &policy, is_handing_over: false };
    let mut lifecycle = Lifecycle::default();
    assert_eq!(lifecycle.step(LifeEvent::Start, context), [Action::Spawn]);
    assert_eq!(lifecycle.deadline(), None);
    assert_eq!(lifecycle.step(LifeEvent::Reload, context), []);
    assert_eq!(lifecycle.step(LifeEvent::Restart, context), []);
    assert_eq!(lifecycle.step(LifeEvent::Stop, context), [Action::CancelSpawn]);
    assert_eq!(lifecycle.state(), LifeState::Stopped);
}

#[test]
fn a_worker_that_dies_during_a_reload_is_followed_by_its_successor() {
    let mut life = Life::running();
    life.step(LifeEvent::Reload);
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Promote]);
    assert_eq!(life.step(LifeEvent::Ready), [Action::Serve]);
}

#[test]
fn a_stop_during_a_reload_ends_both_workers() {
    let mut life = Life::running();
    life.step(LifeEvent::Reload);
    assert_eq!(life.step(LifeEvent::Stop), [Action::DropReplacement, Action::RequestStop]);
    assert_eq!(life.step(LifeEvent::ReplacementReady), []);
    assert_eq!(life.step(LifeEvent::Exited { clean: true }), []);
    assert_eq!(life.state(), LifeState::Stopped);
}

#[test]
fn a_worker_that_stops_unasked_is_followed_by_the_restart_policy() {
    let mut life = Life::running();
    assert_eq!(life.step(LifeEvent::Yielded), [Action::RequestStop]);
    assert_eq!(life.state(), LifeState::Stopping { after: AfterExit::ApplyPolicy });
    assert_eq!(life.step(LifeEvent::Exited { clean: true }), [Action::Spawn]);
}

#[test]
fn a_worker_that_stops_unasked_during_a_reload_is_followed_by_its_successor() {
    let mut life = Life::running();
    life.step(LifeEvent::Reload);
    assert_eq!(life.step(LifeEvent::Yielded), [Action::Promote]);
    assert_eq!(life.step(LifeEvent::Ready), [Action::Serve]);
}

#[test]
fn a_fault_kills_at_once_and_counts_as_a_crash() {
    let mut life = Life::running();
    assert_eq!(life.step(LifeEvent::Fault), [Action::Kill]);
    assert_eq!(life.state(), LifeState::Stopping { after: AfterExit::ApplyPolicy });
    assert_eq!(life.step(LifeEvent::Exited { clean: false }), [Action::Spawn]);
    assert_eq!(life.step(LifeEvent::SpawnFailed), []);
    assert!(matches!(life.state(), LifeState::Backoff { .. }));
}

#[test]
fn whatever_happens_there_is_at_most_one_worker() {
    use LifeEvent::{
        Begun, Exited, Fault, Hang, Lost, Ready, Reload, ReplacementFailed, ReplacementReady, Restart,
        SpawnFailed, Start, Stop, Tick, Yielded,
    };
    let clean = Exited { clean: true };
    let events = [
        Start,
        Stop,
        Restart,
        Reload,
        Ready,
        clean,
        Lost,
        Begun,
        SpawnFailed,
        Hang,
        Fault,
        ReplacementReady,
        ReplacementFailed,
        Tick,
        Yielded,
    ];
    let mut seed = 1_u64;
    let mut life = Life::new();
    let (mut workers, mut replacements) = (0, 0);
    for _ in 0..200_000 {
        // A linear congruential generator: the same walk every time.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let event = events[(seed >> 33) as usize % events.len()];
        let impossible = match event {
            Exited { .. } | Lost | SpawnFailed | Yielded => workers == 0,
            ReplacementReady | ReplacementFailed => replacements == 0,
            _ => false,
        };
        if impossible {
            continue;
        }
        // One that stops unasked during a reload is not the worker any more, whether it has exited
        // or not.
        let leaves = event == Yielded && matches!(life.state(), LifeState::Reloading { .. });
        if leaves || matches!(event, Exited { .. } | Lost | SpawnFailed) {
            workers -= 1;
        }
        life.wait(Duration::from_millis(seed >> 54));
        for action in life.step(event) {
            match action {
                Action::Spawn => workers += 1,
                Action::CancelSpawn => workers -= 1,
                Action::SpawnReplacement => replacements += 1,
                Action::DropReplacement | Action::LogReplacementTimeout => replacements -= 1,
                Action::Swap => replacements -= 1,
                Action::Promote => (workers, replacements) = (workers + 1, replacements - 1),
                _ => {}
            }
            assert!((0..=1).contains(&workers), "after {event:?}: {workers} workers");
            assert!((0..=1).contains(&replacements), "after {event:?}: {replacements} replacements");
        }
    }
}

#[test]
fn a_worker_that_ended_with_the_reaper_is_no_fault_of_its_script() {
    for restart in [RestartRule::Always, RestartRule::OnFailure, RestartRule::Never] {
        let mut life = Life::running();
        life.policy.restart = restart;
        life.policy.max_restarts = Some((0, Duration::from_secs(3600)));
        assert_eq!(life.step(LifeEvent::Lost), [Action::Spawn]);
        // A script that kills the reaper at its import does not do so without a pause.
        assert_eq!(life.step(LifeEvent::Lost), []);
        assert!(matches!(life.state(), LifeState::Backoff { .. }));
        assert_eq!(life.next_tick(), [Action::Spawn]);
    }
}

#[test]
fn a_worker_that_ended_with_the_reaper_stays_away_if_the_user_has_stopped_it() {
    let mut life = Life::running();
    assert_eq!(life.step(LifeEvent::Stop), [Action::RequestStop]);
    assert_eq!(life.step(LifeEvent::Lost), []);
    assert_eq!(life.state(), LifeState::Stopped);
}
