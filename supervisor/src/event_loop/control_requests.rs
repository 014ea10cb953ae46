//! What the loop does for clients of the control socket: it answers at once, or when the instances
//! of a command have completed it.

use super::{EventLoop, Phase};
use crate::backends::{Incoming, PYTHON};
use crate::control::monitors::Monitors;
use crate::control::name_index::NameIndex;
use crate::control::pending_command::PendingCommand;
use crate::control::protocol::{ControlReply, ErrorReply, InstanceNames, Outcome, ShowStatus};
use crate::control::request::{InstanceCommand, LoopRequest, RequestBody, Responder};
use crate::ids::InstanceId;
use crate::instances::supervision::lifecycle::LifeEvent;
use crate::instances::transition::{Reached, StartNumber, Transition};
use crate::show::{LiveInstance, LiveShow};
use crate::status::{InstanceState, InstanceStatus};
use mm_shared::{ChannelId, Event};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Commands in progress above which those of clients that are gone are looked for.
const PENDING_COMMANDS_LIMIT: usize = 128;

/// What the loop keeps for clients.
pub struct ControlRequests {
    names: Arc<NameIndex>,
    monitors: Monitors,
    pending: Vec<PendingCommand>,
    /// Those who wait for the end of the show.
    quits: Vec<Responder>,
    started_at: Instant,
}

impl ControlRequests {
    /// No client has asked for anything yet.
    #[must_use]
    pub fn new(show: &LiveShow) -> Self {
        Self {
            names: Arc::new(NameIndex::new(show)),
            monitors: Monitors::default(),
            pending: Vec::new(),
            quits: Vec::new(),
            started_at: Instant::now(),
        }
    }

    /// Takes over the names of a new show, which lacks the instances `removed`. Returns the old
    /// ones.
    pub fn apply(&mut self, names: Arc<NameIndex>, removed: &[String]) -> Arc<NameIndex> {
        self.flush_monitors();
        let old = std::mem::replace(&mut self.names, names);
        self.monitors.forget_names();
        for instance in removed {
            self.record_outcome(instance, StartNumber::LAST, |_| {
                let message = "no longer in the show".to_owned();
                Some(Outcome { instance: instance.clone(), ok: false, message, traceback: None })
            });
        }
        old
    }

    /// The names of the show.
    pub fn names(&self) -> &NameIndex {
        &self.names
    }

    /// Whether any client monitors.
    #[inline]
    pub fn has_monitors(&self) -> bool {
        !self.monitors.is_empty()
    }

    /// Shows an event that goes to an instance to the clients that monitor.
    pub fn monitor_delivery(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        let direction = self.names.delivery(instance);
        self.monitors.record(&self.names, instance, channel, direction, value);
    }

    /// Shows an event that came from an instance to the clients that monitor.
    pub fn monitor_arrival(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        let direction = self.names.arrival(instance);
        self.monitors.record(&self.names, instance, channel, direction, value);
    }

    /// Answers the clients that have asked for the end of the show, which has come.
    pub fn answer_quits(&mut self, hint: Option<&str>) {
        for responder in self.quits.drain(..) {
            responder.ended(hint.map(str::to_owned));
        }
    }

    /// Hands the events of this turn over to the clients that monitor.
    #[inline]
    pub fn flush_monitors(&mut self) {
        self.monitors.flush(&self.names);
    }

    /// Takes a command whose outcome its client waits for. A client has one at a time, so those of
    /// clients that are gone are forgotten before they become more than there can be clients.
    fn await_outcomes(&mut self, command: PendingCommand) {
        if self.pending.len() >= PENDING_COMMANDS_LIMIT {
            self.pending.retain(PendingCommand::is_wanted);
        }
        if command.is_wanted() {
            self.pending.push(command);
        }
    }

    /// Notes the outcome for an instance, which came of this start of a worker, in all commands that
    /// wait for it, and answers those that are complete.
    fn record_outcome(
        &mut self,
        instance: &str,
        start: StartNumber,
        outcome: impl Fn(InstanceCommand) -> Option<Outcome>,
    ) {
        for pending in self.pending.iter_mut().filter(|pending| pending.awaits(instance, start)) {
            if let Some(outcome) = outcome(pending.command) {
                pending.record(outcome);
            }
        }
        self.pending.extract_if(.., |pending| pending.is_complete()).for_each(PendingCommand::respond);
    }
}

impl EventLoop {
    /// Carries out a client's request.
    pub(super) fn handle_request(&mut self, request: LoopRequest, now: Instant) {
        let LoopRequest { body, responder } = request;
        match body {
            RequestBody::Status { instance: None } => {
                responder.status(self.show_status(now));
            }
            RequestBody::Status { instance: Some(name) } => {
                let detail = self.detail(&name, now);
                responder.result(detail.map(|detail| ControlReply::Instance(Box::new(detail))));
            }
            RequestBody::Get { channels } => {
                responder.result(self.values(&channels).map(ControlReply::Values));
            }
            RequestBody::Command { command, .. }
                if self.phase == Phase::Ending && command != InstanceCommand::Stop =>
            {
                responder.refuse(ErrorReply::show_is_ending());
            }
            RequestBody::Command { command, names } => self.command(command, &names, responder, now),
            RequestBody::Quit => {
                self.control.quits.push(responder);
                if self.phase != Phase::Ending {
                    tracing::info!(event = "show_stopping", "stopping, as a control client asks");
                    self.begin_end(now);
                }
            }
            RequestBody::Send { instance, channel, value, out } => {
                match self.control.names.find_channel(&instance, &channel) {
                    Ok((instance, channel)) => {
                        responder.sent(self.send(instance, channel, value, out));
                    }
                    Err(error) => {
                        responder.refuse(error);
                    }
                }
            }
            RequestBody::Monitor { pattern } => {
                self.control.monitors.add(pattern.as_deref(), &self.control.names, responder);
            }
        }
    }

    /// Sends an event as if it had come in on that channel, or as if it were to go out on it.
    /// Returns to how many channels it goes.
    ///
    /// What comes in at a script goes to its handler, and what goes out of any other instance to
    /// its peer; both are delivered. The rest goes where the mappings lead.
    fn send(&mut self, instance: InstanceId, channel: ChannelId, value: f64, out: bool) -> usize {
        let is_script = self.control.names.is_script(instance);
        if is_script == out {
            self.router.accept(Incoming { instance, channel, value });
            return self.router.targets(instance, channel).len();
        }
        self.router.note_delivery(instance, channel, value);
        self.control.monitor_delivery(instance, channel, value);
        if is_script {
            self.instances.accept(instance, Event { channel, value });
        } else {
            self.with_backends(|backends, access| backends.handle(instance, channel, value, access));
            self.route_incoming();
        }
        1
    }

    fn command(
        &mut self,
        command: InstanceCommand,
        names: &InstanceNames,
        responder: Responder,
        now: Instant,
    ) {
        let ids = match self.control.names.find_python(names) {
            Ok(ids) => ids,
            Err(error) => {
                responder.refuse(error);
                return;
            }
        };
        let event = match command {
            InstanceCommand::Restart => LifeEvent::Restart,
            InstanceCommand::Reload => LifeEvent::Reload,
            InstanceCommand::Stop => LifeEvent::Stop,
            InstanceCommand::Start => LifeEvent::Start,
        };
        // transitions up to here belong to earlier commands
        self.record_transitions();
        let named = |id: &InstanceId| {
            // A start may have been under way before a user asked for it, a restart may not.
            let first_start = match command {
                InstanceCommand::Restart | InstanceCommand::Reload => self.instances.next_start(*id),
                InstanceCommand::Stop | InstanceCommand::Start => StartNumber::default(),
            };
            Some((self.instance_name(*id)?, first_start))
        };
        let awaited: Vec<(String, StartNumber)> = ids.iter().filter_map(named).collect();
        self.control.await_outcomes(PendingCommand::new(command, responder, awaited));
        for id in ids {
            let Some(name) = self.instance_name(id) else { continue };
            self.with_instances(now, |instances, cx| instances.command(id, event, cx));
            let state = self.instances.state(id);
            if let Some(message) = state.and_then(|(state, pid)| done_already(command, state, pid)) {
                let outcome = Outcome { instance: name.clone(), ok: true, message, traceback: None };
                self.control.record_outcome(&name, StartNumber::LAST, |wanted| {
                    (wanted == command).then(|| outcome.clone())
                });
            }
        }
        self.record_transitions();
    }

    /// Answers the clients whose commands have completed.
    pub(super) fn record_transitions(&mut self) {
        for (id, Reached { start, transition }) in self.instances.transitions() {
            self.systemd_status_is_old = true;
            let Some(name) = self.instance_name(id) else { continue };
            // Whatever an instance is to come to, a stop ends it.
            let is_stop = matches!(transition, Transition::Stopped { .. });
            let start = if is_stop { StartNumber::LAST } else { start };
            self.control.record_outcome(&name, start, |command| outcome(&name, command, &transition));
        }
    }

    fn instance_name(&self, no: InstanceId) -> Option<String> {
        self.origin.show.instance(no).map(|instance| instance.name.clone())
    }

    /// The status of one instance.
    pub(super) fn status_of(
        &mut self,
        LiveInstance { id, instance, .. }: LiveInstance<'_>,
        now: Instant,
    ) -> InstanceStatus {
        let status = self.instances.status(id, &self.script_output, now);
        let status = status.unwrap_or_else(|| self.backends.status(id));
        let (traffic, conflated) = (self.router.traffic(id), self.router.conflated(id));
        let is_script = instance.backend == PYTHON;
        InstanceStatus {
            name: instance.name.clone(),
            backend: instance.backend.to_owned(),
            events_in: if is_script { traffic.delivered } else { traffic.arrived },
            events_out: if is_script { traffic.arrived } else { traffic.delivered },
            conflated: match conflated {
                0 => status.conflated,
                own => Some(own + status.conflated.unwrap_or(0)),
            },
            ..status
        }
    }

    fn show_status(&mut self, now: Instant) -> ShowStatus {
        let show = Arc::clone(&self.origin.show);
        ShowStatus {
            instances: show.live_instances().map(|live| self.status_of(live, now)).collect(),
            show: show.name.clone(),
            file: absolute(&show.path),
            pid: std::process::id(),
            last_good: self.last_good.reason().map(str::to_owned),
            uptime_s: now.saturating_duration_since(self.control.started_at).as_secs(),
        }
    }
}

/// The show file, as it is found from anywhere.
fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

/// What a transition means for a command; `None` if the command still waits.
fn outcome(instance: &str, command: InstanceCommand, transition: &Transition) -> Option<Outcome> {
    let (ok, message, traceback) = match (command, transition) {
        (
            InstanceCommand::Restart | InstanceCommand::Reload | InstanceCommand::Start,
            Transition::Serves { pid, took },
        ) => (true, format!("running, pid {pid} after {took} ms"), None),
        (
            InstanceCommand::Restart | InstanceCommand::Reload | InstanceCommand::Start,
            Transition::Failed { reason, traceback },
        ) => (false, reason.clone(), traceback.clone()),
        (
            InstanceCommand::Restart | InstanceCommand::Reload | InstanceCommand::Start,
            Transition::Stopped { .. },
        ) => (false, "stopped in the meantime".to_owned(), None),
        (InstanceCommand::Reload, Transition::ReloadFailed { reason, traceback }) => {
            (false, format!("the previous worker keeps running: {reason}"), traceback.clone())
        }
        (
            InstanceCommand::Restart | InstanceCommand::Reload | InstanceCommand::Start,
            Transition::RolledBack { reason, traceback },
        ) => (false, format!("the last good version is started again: {reason}"), traceback.clone()),
        (InstanceCommand::Stop, Transition::Stopped { reason }) => (true, reason.clone(), None),
        (InstanceCommand::Stop, Transition::Serves { pid, .. }) => {
            (false, format!("started in the meantime, pid {pid}"), None)
        }
        _ => return None,
    };
    Some(Outcome { instance: instance.to_owned(), ok, message, traceback })
}

/// The result of a command that has nothing to wait for.
fn done_already(command: InstanceCommand, state: InstanceState, pid: Option<i32>) -> Option<String> {
    match (command, state) {
        (InstanceCommand::Start, InstanceState::Running | InstanceState::Reloading) => {
            Some(pid.map_or("running already".into(), |pid| format!("running already, pid {pid}")))
        }
        (InstanceCommand::Stop, InstanceState::Stopped) => Some("stopped".into()),
        _ => None,
    }
}
