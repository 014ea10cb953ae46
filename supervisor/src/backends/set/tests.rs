//! The set with a backend that does what a test asks of it.

use super::*;
use crate::backends::{BackendStatus, PlanChange, PlanKey, Reconfigured, TimerId};
use crate::poller::{Interest, Wake};
use crate::show::change::ShowChange;
use crate::test_shows::{live_show, show};
use mm_shared::{ChannelId, Doorbell};
use std::sync::{Arc, Mutex, MutexGuard};

/// The state that a test and its backends share.
#[derive(Default)]
struct Script {
    calls: Vec<String>,
    /// Why it is not available, if that is not lasting.
    cause: Option<OpenCause>,
    hosts: Vec<String>,
    open: usize,
    keeps: bool,
    is_closed: bool,
    is_unavailable: bool,
}

type Shared = Arc<Mutex<Script>>;

struct FakePlan {
    name: &'static str,
    instances: Vec<InstanceId>,
    script: Shared,
}

impl Plan for FakePlan {
    fn key(&self) -> PlanKey {
        PlanKey { backend: "fake", name: self.name.into() }
    }

    fn instances(&self) -> Vec<InstanceId> {
        self.instances.clone()
    }

    fn hosts(&self) -> Vec<String> {
        self.script.lock().unwrap().hosts.clone()
    }

    fn open(&self) -> Result<Box<dyn Backend>, OpenError> {
        let mut script = self.script.lock().unwrap();
        script.calls.push("open".into());
        if script.is_unavailable {
            let cause = script.cause.unwrap_or(OpenCause::Lasting);
            return Err(OpenError { message: "the port is in use".into(), hint: None, cause });
        }
        script.open += 1;
        Ok(Box::new(FakeBackend { bell: Doorbell::new().unwrap(), script: Arc::clone(&self.script) }))
    }
}

struct FakeBackend {
    bell: Doorbell,
    script: Shared,
}

impl FakeBackend {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note(&self, call: String) {
        self.script().calls.push(call);
    }
}

const WATCH: u32 = 1;
const CHANGE: u32 = 2;
const FORGET: u32 = 3;
const SET_TIMERS: u32 = 4;
const END_TIMER: u32 = 5;
const PANIC: u32 = 6;

impl Backend for FakeBackend {
    fn start(&mut self, _cx: &mut BackendContext<'_>) -> io::Result<()> {
        Ok(())
    }

    fn on_ready(&mut self, source: SourceId, budget: usize, _cx: &mut BackendContext<'_>) {
        self.note(format!("ready {} {budget}", source.0));
    }

    fn on_timer(&mut self, timer: TimerId, _now: Instant, _cx: &mut BackendContext<'_>) {
        self.note(format!("timer {}", timer.0));
    }

    /// The channel selects what the backend does.
    fn handle(
        &mut self,
        instance: LocalInstance,
        channel: ChannelId,
        value: f64,
        cx: &mut BackendContext<'_>,
    ) {
        let now = Instant::now();
        match channel.0 {
            WATCH => {
                self.bell.ring();
                cx.watch(&self.bell, Interest::Read, SourceId(1)).unwrap();
            }
            CHANGE => cx.change(&self.bell, Interest::Write, SourceId(2)).unwrap(),
            FORGET => cx.forget(&self.bell),
            SET_TIMERS => (1..=2).for_each(|id| cx.set_timer(TimerId(id), Some(now))),
            END_TIMER => cx.set_timer(TimerId(1), None),
            PANIC => panic!("a test wants it"),
            _ => {
                self.note(format!("handle {} {value}", instance.0));
                cx.sink.push(instance, channel, value);
            }
        }
    }

    fn reconfigure(
        &mut self,
        plan: &dyn Plan,
        change: &PlanChange,
        _cx: &mut BackendContext<'_>,
    ) -> Reconfigured {
        let count = plan.instances().len();
        let each = (0..count).map(LocalInstance).map(|local| {
            let before = change.before(local).map(|before| before.0);
            format!("{before:?} {}", change.is_unchanged(local))
        });
        self.note(format!("reconfigure {:?}", each.collect::<Vec<_>>()));
        if self.script().keeps { Reconfigured::Kept } else { Reconfigured::Reopen }
    }

    fn status(&self, instance: LocalInstance) -> BackendStatus {
        let state = if instance.0 == 0 { BackendState::Running } else { BackendState::Connecting };
        let (errors, conflated) = (instance.0 as u64 + 1, instance.0 as u64);
        let (peers, note) = (vec![format!("peer {}", instance.0)], None);
        BackendStatus { state, errors, conflated, peers, note, ..BackendStatus::default() }
    }

    fn close(&mut self, _cx: &mut BackendContext<'_>) {
        self.note("close".into());
    }

    fn is_closed(&mut self) -> bool {
        self.script().is_closed
    }
}

impl Drop for FakeBackend {
    fn drop(&mut self) {
        self.script().open -= 1;
    }
}

/// A set in an event loop, with one show after another.
struct Rig {
    set: BackendSet,
    poller: Poller,
    events: Vec<Incoming>,
    script: Shared,
    show: LiveShow,
}

const BOTH: &str = "[loopback a]\n[loopback b]\n";

fn fake_plan(show: &LiveShow, script: &Shared) -> Vec<Box<dyn Plan>> {
    let instances: Vec<_> = show.live_instances().map(|live| live.id).collect();
    match instances.is_empty() {
        true => Vec::new(),
        false => vec![Box::new(FakePlan { name: "all", instances, script: Arc::clone(script) })],
    }
}

impl Rig {
    /// A backend that serves `a` and `b`.
    fn new() -> Self {
        let (show, script) = (live_show(BOTH), Shared::default());
        let set = BackendSet::open(fake_plan(&show, &script), &show, Resolver::new(drop)).unwrap();
        let mut this = Self { set, poller: Poller::new().unwrap(), events: Vec::new(), script, show };
        this.with(|set, access| set.start(access)).unwrap();
        this.calls();
        this
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut BackendSet, &mut LoopAccess<'_>) -> R) -> R {
        act(&mut self.set, &mut LoopAccess { poller: &self.poller, events: &mut self.events })
    }

    fn handle(&mut self, instance: usize, channel: u32, value: f64) -> bool {
        self.with(|set, access| set.handle(InstanceId(instance), ChannelId(channel), value, access))
    }

    fn tick(&mut self, now: Instant) {
        self.with(|set, access| set.tick(now, access));
    }

    /// What the backend was asked for since the last call.
    fn calls(&mut self) -> Vec<String> {
        std::mem::take(&mut self.script().calls)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Serves what is ready now.
    fn ready(&mut self) -> Vec<String> {
        let mut wakes = Vec::new();
        self.poller.wait(Some(Duration::ZERO), &mut wakes).unwrap();
        for wake in wakes {
            let Wake::Backend { index, token } = wake else { panic!("{wake:?}") };
            self.with(|set, access| set.on_ready(index, token, 10, access));
        }
        self.calls()
    }

    fn apply(&mut self, text: &str) {
        let (show, change): (_, ShowChange) = self.show.successor(show(text), |_| false);
        let plans = fake_plan(&show, &self.script);
        self.with(|set, access| set.apply(plans, &show, &change, access));
        self.show = show;
    }

    fn is_open(&self) -> bool {
        self.script().open == 1
    }
}

/// Later than every deadline, also that of a closing backend.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[test]
fn a_backend_adds_changes_and_removes_sources_at_any_time() {
    let mut rig = Rig::new();
    assert!(rig.ready().is_empty());
    rig.handle(0, WATCH, 0.0);
    assert_eq!(rig.ready(), ["ready 1 10"]);
    rig.handle(0, CHANGE, 0.0);
    assert_eq!(rig.ready(), ["ready 2 10"], "it is watched for room to write");
    rig.handle(0, FORGET, 0.0);
    assert!(rig.ready().is_empty());
    rig.handle(0, WATCH, 0.0);
    assert_eq!(rig.ready(), ["ready 1 10"]);
}

#[test]
fn a_backend_sets_and_ends_timers_at_any_time() {
    let mut rig = Rig::new();
    assert_eq!(rig.set.deadline(), None);
    rig.handle(0, SET_TIMERS, 0.0);
    rig.handle(0, END_TIMER, 0.0);
    assert!(rig.set.deadline().is_some());
    rig.tick(later());
    assert_eq!(rig.calls(), ["timer 2"]);
    assert_eq!(rig.set.deadline(), None);
}

#[test]
fn a_reload_that_changes_one_instance_leaves_the_backend_of_both_open() {
    let mut rig = Rig::new();
    rig.script().keeps = true;
    rig.handle(0, WATCH, 0.0);
    rig.apply("[loopback a]\nany = thing\n[loopback b]\n");
    assert_eq!(rig.calls(), [r#"reconfigure ["Some(0) false", "Some(1) true"]"#]);
    assert!(rig.is_open());
    assert_eq!(rig.ready(), ["ready 1 10"], "its descriptors are watched as before");
    rig.apply("[loopback a]\nany = thing\n[loopback b]\n");
    assert!(rig.calls().is_empty(), "nothing changed");
}

#[test]
fn local_indices_follow_the_instances_of_the_new_plan() {
    let mut rig = Rig::new();
    rig.script().keeps = true;
    rig.apply("[loopback c]\n[loopback b]\n");
    assert_eq!(rig.calls(), [r#"reconfigure ["None false", "Some(1) true"]"#]);
    assert!(!rig.handle(0, 9, 0.5), "`a` is served by none");
    assert!(rig.handle(1, 9, 0.5) && rig.handle(2, 9, 0.25));
    assert_eq!(rig.calls(), ["handle 1 0.5", "handle 0 0.25"]);
    let came: Vec<_> = rig.events.iter().map(|event| (event.instance.0, event.value)).collect();
    assert_eq!(came, [(1, 0.5), (2, 0.25)]);
}

#[test]
fn a_backend_that_takes_its_time_to_close_holds_up_nobody_and_goes_at_its_deadline() {
    let mut rig = Rig::new();
    rig.apply("");
    assert_eq!(rig.calls(), ["close"]);
    assert!(rig.is_open(), "it does not report that it is closed");
    assert!(!rig.handle(0, 9, 0.5));
    let next = rig.set.deadline().expect("it is asked again");
    rig.tick(next);
    assert!(rig.is_open());
    rig.tick(later());
    assert!(!rig.is_open());
    assert_eq!(rig.set.deadline(), None);
}

#[test]
fn what_is_to_be_opened_again_waits_until_it_is_closed_and_gets_the_last_values() {
    let mut rig = Rig::new();
    rig.apply("[loopback a]\nany = thing\n[loopback b]\n");
    assert_eq!(rig.calls()[1..], ["close"]);
    rig.handle(1, 9, 0.25);
    rig.handle(1, 9, 0.5);
    assert!(rig.calls().is_empty() && rig.is_open());
    rig.script().is_closed = true;
    let next = rig.set.deadline().expect("it is asked again");
    rig.tick(next);
    assert!(!rig.is_open());
    let next = rig.set.deadline().expect("it is to be opened");
    rig.tick(next);
    assert_eq!(rig.calls(), ["open", "handle 1 0.5"]);
    assert!(rig.is_open());
    assert_eq!(rig.set.take_reopened(), [InstanceId(0), InstanceId(1)]);
}

#[test]
fn a_backend_that_panics_is_dropped_and_opened_again_later() {
    let mut rig = Rig::new();
    rig.handle(0, SET_TIMERS, 0.0);
    rig.handle(0, PANIC, 0.0);
    assert!(!rig.is_open());
    let status = rig.set.status(InstanceId(0));
    assert_eq!((status.state, status.note.as_deref()), (InstanceState::Backoff, Some("internal error")));
    rig.script().is_unavailable = true;
    rig.calls();
    for _ in 0..3 {
        let next = rig.set.deadline().expect("it is tried again");
        rig.tick(next);
        assert_eq!(rig.calls(), ["open"], "and its own timers are gone");
    }
    assert_eq!(rig.set.take_reopened(), []);
    rig.script().is_unavailable = false;
    rig.tick(later());
    assert!(rig.is_open());
    assert_eq!(rig.set.take_reopened(), [InstanceId(0), InstanceId(1)]);
    assert_eq!(rig.set.take_reopened(), []);
    let status = rig.set.status(InstanceId(0));
    assert_eq!((status.state, status.note), (InstanceState::Running, None));
}

#[test]
fn each_instance_has_a_status_of_its_own() {
    let rig = Rig::new();
    let status = [0, 1].map(|id| rig.set.status(InstanceId(id)));
    assert_eq!(
        status.each_ref().map(|status| status.state),
        [InstanceState::Running, InstanceState::Starting]
    );
    assert_eq!(status.each_ref().map(|status| status.errors), [1, 2]);
    assert_eq!(status.each_ref().map(|status| status.conflated), [None, Some(1)]);
    assert_eq!(status[1].peers, ["peer 1"]);
}

#[test]
fn the_end_of_the_show_waits_for_backends_that_close_but_for_a_bounded_time() {
    let mut rig = Rig::new();
    rig.set.close_all(&mut rig.poller);
    assert_eq!(rig.calls(), ["close"]);
    assert!(!rig.is_open());
}
