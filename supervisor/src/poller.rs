//! What can wake the event loop: the closed list.

use crate::ids::WorkerId;
pub use mm_shared::sys::poller::Interest;
use mm_shared::sys::poller::{self, PollKey};

/// The event loop's poller.
pub type Poller = poller::Poller<Wake>;

/// Why the loop woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// A signal came.
    Signal,
    /// A thread of the supervisor has sent a message.
    Mailbox,
    /// A descriptor of a backend is readable.
    Backend {
        /// Which backend.
        index: u32,
        /// Which of its descriptors.
        token: u32,
    },
    /// A worker has put events into its ring, or has made space in ours.
    Bell(WorkerId),
    /// A worker has sent a message, or closed its control channel.
    WorkerControl(WorkerId),
    /// The process of a worker has ended.
    WorkerExit(WorkerId),
    /// The reaper has replied or ended, or its helper thread has finished.
    Reaper,
}

const SIGNAL: u64 = 0;
const MAILBOX: u64 = 1;
const BACKEND: u64 = 2;
const BELL: u64 = 3;
const WORKER_CONTROL: u64 = 4;
const WORKER_EXIT: u64 = 5;
const REAPER: u64 = 6;

/// Bits of a key that hold what the kind of wake-up refers to.
const SUBJECT_BITS: u32 = 56;
/// Bits of a backend's subject that hold the token.
const TOKEN_BITS: u32 = 28;

impl PollKey for Wake {
    fn to_u64(self) -> u64 {
        let (kind, subject) = match self {
            Wake::Signal => (SIGNAL, 0),
            Wake::Mailbox => (MAILBOX, 0),
            Wake::Backend { index, token } => (BACKEND, u64::from(index) << TOKEN_BITS | u64::from(token)),
            Wake::Bell(worker) => (BELL, worker.0),
            Wake::WorkerControl(worker) => (WORKER_CONTROL, worker.0),
            Wake::WorkerExit(worker) => (WORKER_EXIT, worker.0),
            Wake::Reaper => (REAPER, 0),
        };
        kind << SUBJECT_BITS | subject
    }

    fn from_u64(key: u64) -> Option<Wake> {
        let subject = key & ((1 << SUBJECT_BITS) - 1);
        match key >> SUBJECT_BITS {
            SIGNAL => Some(Wake::Signal),
            MAILBOX => Some(Wake::Mailbox),
            BACKEND => Some(Wake::Backend {
                index: u32::try_from(subject >> TOKEN_BITS).ok()?,
                token: (subject & ((1 << TOKEN_BITS) - 1)) as u32,
            }),
            BELL => Some(Wake::Bell(WorkerId(subject))),
            WORKER_CONTROL => Some(Wake::WorkerControl(WorkerId(subject))),
            WORKER_EXIT => Some(Wake::WorkerExit(WorkerId(subject))),
            REAPER => Some(Wake::Reaper),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wake_up_survives_its_way_through_the_kernel() {
        let wakes = [
            Wake::Signal,
            Wake::Mailbox,
            Wake::Backend { index: 300, token: 70_000 },
            Wake::Bell(WorkerId(1 << 40)),
            Wake::WorkerControl(WorkerId(7)),
            Wake::WorkerExit(WorkerId(7)),
            Wake::Reaper,
        ];
        for wake in wakes {
            assert_eq!(Wake::from_u64(wake.to_u64()), Some(wake));
        }
    }
}
