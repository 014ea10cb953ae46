//! What has happened since the last turn: wake-ups of the poller, messages of threads, signals.

use super::message::LoopMessage;
use super::{EventLoop, Phase};
use crate::ids::WorkerId;
use crate::instances::InstanceSet;
use crate::instances::launcher_thread::LauncherReport;
use crate::instances::worker_event::WorkerEvent;
use crate::poller::Wake;
use crate::signals::SignalRequest;
use std::time::{Duration, Instant};

/// Messages that are taken per turn.
const MESSAGES_PER_TURN: usize = 64;

/// No further message is taken in a turn when they have taken this long: a status of many instances
/// costs more than most.
const MESSAGES_TIMEOUT: Duration = Duration::from_micros(300);

/// Reading what backends receive takes no longer than this per turn, and one source more.
const READ_TIMEOUT: Duration = Duration::from_micros(200);

impl EventLoop {
    /// Handles the wake-ups of a turn. Of the sources of backends, those for which there is no time
    /// left come first in the next turn.
    pub(super) fn dispatch_all(&mut self, wakes: &mut Vec<Wake>, now: Instant) {
        self.backends.wake_unfinished(wakes);
        for wake in wakes.drain(..) {
            if !matches!(wake, Wake::Backend { .. }) {
                self.dispatch(wake, now);
            } else if !self.ready.contains(&wake) {
                self.ready.push_back(wake);
            }
        }
        while let Some(wake) = self.ready.pop_front() {
            self.dispatch(wake, now);
            // Most turns have one source, and need no clock.
            if !self.ready.is_empty() && now.elapsed() > READ_TIMEOUT {
                return;
            }
        }
    }

    fn dispatch(&mut self, wake: Wake, now: Instant) {
        match wake {
            Wake::Signal => self.signalled(now),
            Wake::Mailbox => self.take_messages(now),
            Wake::Backend { index, token } => {
                let budget = self.read_budget(index);
                self.with_backends(|backends, access| backends.on_ready(index, token, budget, access));
                self.route_incoming();
            }
            Wake::Bell(worker_id) => self.with_instances(now, |instances, cx| {
                instances.rung(worker_id, cx);
            }),
            Wake::WorkerControl(worker_id) => self.with_instances(now, |instances, cx| {
                instances.receive(worker_id, cx);
            }),
            Wake::WorkerExit(worker_id) => self.launcher.reaper.worker_exited(worker_id, &self.poller, now),
            Wake::Reaper => {
                self.launcher.reaper.receive(&self.poller, now);
                self.take_reaper_events(now);
            }
        }
    }

    fn take_messages(&mut self, now: Instant) {
        let began_at = Instant::now();
        for _ in 0..MESSAGES_PER_TURN {
            if began_at.elapsed() >= MESSAGES_TIMEOUT {
                break;
            }
            let Some(message) = self.mailbox.try_receive() else { return };
            match message {
                LoopMessage::ShowRead(number, outcome) => self.show_was_read(number, outcome, now),
                LoopMessage::HostResolved(answer) => {
                    self.with_backends(|backends, access| backends.host_resolved(&answer, now, access));
                }
                LoopMessage::Control(request) => self.handle_request(request, now),
                LoopMessage::ScriptChanged(instance) => self.with_instances(now, |instances, cx| {
                    instances.changed(&instance, cx);
                }),
                LoopMessage::OverMemory(over) => self.with_instances(now, |instances, cx| {
                    instances.over_memory(over, cx);
                }),
                LoopMessage::Launcher(LauncherReport::LinkFailed(worker_id, fault)) => {
                    self.worker_event(worker_id, WorkerEvent::ChannelClosed(Some(fault)), now);
                }
                LoopMessage::Launcher(LauncherReport::WorkerProgram(outcome)) => {
                    for (worker_id, error) in self.launcher.program_found(outcome) {
                        self.worker_event(worker_id, WorkerEvent::Spawned(Err(error)), now);
                    }
                }
            }
        }
        // The poller reports each ring once, so what is left needs another one.
        self.mailbox.ring();
    }

    fn worker_event(&mut self, worker_id: WorkerId, event: WorkerEvent, now: Instant) {
        self.with_instances(now, |instances, cx| instances.worker_event(worker_id, event, cx));
    }

    pub(super) fn take_reaper_events(&mut self, now: Instant) {
        while let Some((worker_id, event)) = self.launcher.reaper.next_event() {
            self.worker_event(worker_id, event.into(), now);
        }
    }

    /// Stops all instances; the loop ends when they are gone.
    pub(super) fn begin_end(&mut self, now: Instant) {
        self.phase = Phase::Ending;
        self.systemd_status_is_old = true;
        self.spare.dismiss();
        self.with_instances(now, InstanceSet::stop);
    }

    fn signalled(&mut self, now: Instant) {
        for request in self.signals.pending() {
            match (request, self.phase) {
                (SignalRequest::End, Phase::Ending) => {
                    tracing::warn!(event = "show_killed", "asked again to stop, ending all workers at once");
                    self.with_instances(now, InstanceSet::kill);
                }
                (SignalRequest::End, _) => {
                    tracing::info!(event = "show_stopping", "stopping");
                    self.begin_end(now);
                }
                (SignalRequest::Reread, Phase::Ending) => {}
                (SignalRequest::Reread, _) => self.begin_show_reload(),
            }
        }
    }
}
