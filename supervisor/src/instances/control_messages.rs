//! Messages from workers: the event loop reads a bounded number of each worker per turn, so that
//! one that sends without pause costs the others nothing; what is left waits in the kernel, and
//! then in the worker.

use super::InstanceSet;
use super::context::LoopContext;
use super::worker::Worker;
use crate::ids::WorkerId;
use crate::instances::worker_event::WorkerEvent;
use mm_shared::control_link::{LONGEST, LinkError};

/// Messages that are read of a worker in one turn.
const MESSAGES_PER_TURN: usize = 8;

/// Bytes that are read of a worker in one turn.
const BYTES_PER_TURN: usize = 64 << 10;

/// The most bytes that are read of what a worker sent before it ended: more than a socket holds.
const LAST_BYTES: usize = 2 * LONGEST;

impl InstanceSet {
    /// A worker has sent something, or closed its control channel.
    pub fn receive(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        let mut budget = BYTES_PER_TURN;
        for _ in 0..MESSAGES_PER_TURN {
            let (poller, now) = (cx.poller, cx.now);
            let Some(worker) = self.worker(worker_id, cx) else { return };
            let event = match worker.receive(&mut budget, poller, now) {
                Ok(Some(message)) => WorkerEvent::Message(message),
                Ok(None) => return,
                Err(LinkError::Closed) => WorkerEvent::ChannelClosed(None),
                Err(error) => WorkerEvent::ChannelClosed(Some(error.to_string())),
            };
            let is_closed = matches!(event, WorkerEvent::ChannelClosed(_));
            self.worker_event(worker_id, event, cx);
            if is_closed {
                return;
            }
        }
    }

    /// Reads what a worker sent before it ended. What it broke off counts for nothing: it was
    /// killed while it wrote.
    pub(super) fn receive_last(&mut self, worker_id: WorkerId, cx: &mut LoopContext<'_>) {
        let mut budget = LAST_BYTES;
        loop {
            let Some(worker) = self.worker(worker_id, cx) else { return };
            let Ok(Some(message)) = worker.receive_last(&mut budget) else { return };
            self.worker_event(worker_id, WorkerEvent::Message(message), cx);
        }
    }

    fn worker<'a>(&'a mut self, worker_id: WorkerId, cx: &'a mut LoopContext<'_>) -> Option<&'a mut Worker> {
        if cx.spare.is(worker_id) {
            return cx.spare.worker();
        }
        self.owner(worker_id, cx.registry)?.worker(worker_id)
    }
}
