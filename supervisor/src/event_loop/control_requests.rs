//! What the loop does for clients: it answers at once, or notes what it has promised and answers when that has come.

use super::{EventLoop, Phase};
use crate::backends::{Incoming, PYTHON};
use crate::control::monitors::Watchers;
use crate::control::name_index::Names;
use crate::control::pending_command::{Gathered, Gathering};
use crate::control::protocol::{Direction, ErrorReply, InstanceStatus, Outcome, Status};
use crate::control::request::{Act, Answer, Ask, Asked};
use crate::ids::InstanceId;
use crate::instances::lifecycle;
use crate::instances::transition::Transition;
use crate::show::{LiveInstance, LiveShow};
use mm_shared::Event;
use std::time::Instant;

/// What is kept for clients.
pub struct Desk {
    /// All names of the show.
    pub names: Names,
    /// Who monitors.
    pub watchers: Watchers,
    promises: Vec<(Act, Gathering)>,
    since: Instant,
}

impl Desk {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        Self {
            names: Names::new(show),
            watchers: Watchers::default(),
            promises: Vec::new(),
            since: Instant::now(),
        }
    }

    /// The show was read again.
    pub fn apply(&mut self, show: &LiveShow, removed: &[String]) {
        self.names = Names::new(show);
        self.watchers.forget_names();
        for name in removed {
            let (instance, message) = (name.clone(), "no longer in the show".to_owned());
            let outcome = Outcome { instance, ok: false, message, traceback: None };
            self.settle(name, |_| Some(outcome.clone()));
        }
    }

    /// Settles what was promised for an instance.
    fn settle(&mut self, name: &str, outcome: impl Fn(Act) -> Option<Outcome>) {
        for (act, gathering) in std::mem::take(&mut self.promises) {
            let outcome = if gathering.awaits(name) { outcome(act) } else { None };
            let gathered = match outcome {
                Some(outcome) => gathering.settle(outcome),
                None => Gathered::Waiting(gathering),
            };
            if let Gathered::Waiting(gathering) = gathered {
                self.promises.push((act, gathering));
            }
        }
    }
}

impl EventLoop {
    /// A client asks for something.
    pub(super) fn asked(&mut self, asked: Asked, now: Instant) {
        let Asked { ask, answer } = asked;
        match ask {
            Ask::Status => {
                answer.status(self.status(now));
            }
            Ask::Act { act, .. } if self.phase == Phase::Ending && act != Act::Stop => {
                answer.refuse(ErrorReply::new("the show is ending"));
            }
            Ask::Act { act, instances } => self.act(act, &instances, answer, now),
            Ask::Send { instance, channel, value } => match self.desk.names.find_channel(&instance, &channel)
            {
                Ok((no, channel)) => {
                    self.send(no, channel, value);
                    answer.sent();
                }
                Err(refusal) => {
                    answer.refuse(refusal);
                }
            },
            Ask::Monitor { pattern } => {
                self.desk.watchers.add(pattern.as_deref(), &self.desk.names, answer);
            }
        }
    }

    /// Lets an event in as if it had come in on that channel: for a script that is its handler's, for anything else
    /// what the mappings make of it.
    fn send(&mut self, instance: InstanceId, channel: u32, value: f64) {
        let backend = self.origin.show.instance(instance).map(|instance| instance.backend);
        if backend == Some(PYTHON) {
            self.router.count_in(instance);
            self.desk.watchers.pass(&self.desk.names, instance, channel, Direction::In, value);
            self.fleet.accept(instance, Event { channel, value });
        } else {
            self.router.accept(Incoming { instance, channel, value });
        }
    }

    fn act(&mut self, act: Act, instances: &[String], answer: Answer, now: Instant) {
        let numbers = match self.desk.names.find_python(instances) {
            Ok(numbers) => numbers,
            Err(refusal) => {
                answer.refuse(refusal);
                return;
            }
        };
        let event = match act {
            Act::Restart => lifecycle::Event::Restart,
            Act::Reload => lifecycle::Event::Reload,
            Act::Stop => lifecycle::Event::Stop,
            Act::Start => lifecycle::Event::Start,
        };
        // what came about before is not what is asked for now
        self.keep_promises();
        self.desk.promises.push((act, Gathering::new(answer, instances.iter().cloned())));
        for no in numbers {
            let Some(name) = self.instance_name(no) else { continue };
            self.with_instances(now, |fleet, cx| fleet.act(no, event, cx));
            if let Some(message) = self.fleet.is_done(no, act) {
                let outcome = Outcome { instance: name.clone(), ok: true, message, traceback: None };
                self.desk.settle(&name, |wanted| (wanted == act).then(|| outcome.clone()));
            }
        }
        self.keep_promises();
    }

    /// Answers those who have waited for what has come about.
    pub(super) fn keep_promises(&mut self) {
        for (no, transition) in self.fleet.transitions() {
            self.systemd_status_is_old = true;
            let Some(name) = self.instance_name(no) else { continue };
            self.desk.settle(&name, |act| outcome(&name, act, &transition));
        }
    }

    fn instance_name(&self, no: InstanceId) -> Option<String> {
        self.origin.show.instance(no).map(|instance| instance.name.clone())
    }

    fn status(&mut self, now: Instant) -> Status {
        let Self { fleet, hosts, router, drain, origin, .. } = self;
        let instances = origin.show.live_instances().map(|LiveInstance { id: no, instance, .. }| {
            let standing = fleet.standing(no, drain, now);
            let traffic = router.traffic(no);
            InstanceStatus {
                name: instance.name.clone(),
                backend: instance.backend.to_owned(),
                events_in: traffic.events_in,
                events_out: traffic.events_out,
                ..standing.unwrap_or_else(|| hosts.standing(no))
            }
        });
        Status {
            instances: instances.collect(),
            show: origin.show.name.clone(),
            pid: std::process::id(),
            uptime_s: now.saturating_duration_since(self.desk.since).as_secs(),
        }
    }
}

/// What a transition means for who waits for an act; `None`: it is not the one.
fn outcome(instance: &str, act: Act, transition: &Transition) -> Option<Outcome> {
    let (ok, message, traceback) = match (act, transition) {
        (Act::Restart | Act::Reload | Act::Start, Transition::Serves { pid, took }) => {
            (true, format!("running, pid {pid} after {took} ms"), None)
        }
        (Act::Restart | Act::Reload | Act::Start, Transition::Failed { reason, traceback }) => {
            (false, reason.clone(), traceback.clone())
        }
        (Act::Restart | Act::Reload | Act::Start, Transition::Stopped { .. }) => {
            (false, "stopped meanwhile".to_owned(), None)
        }
        (Act::Reload, Transition::ReloadFailed { reason, traceback }) => {
            (false, format!("the old worker goes on: {reason}"), traceback.clone())
        }
        (Act::Stop, Transition::Stopped { reason }) => (true, reason.clone(), None),
        (Act::Stop, Transition::Serves { pid, .. }) => (false, format!("started meanwhile, pid {pid}"), None),
        _ => return None,
    };
    Some(Outcome { instance: instance.to_owned(), ok, message, traceback })
}
