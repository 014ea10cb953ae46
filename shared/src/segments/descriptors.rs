//! The descriptors that a worker inherits, on both sides of the `exec`.

use crate::sys::inherit;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::process::Command;
use std::str::FromStr;

/// A worker's descriptors, all of them closed on exec until [`pass_to`](WorkerFds::pass_to).
#[derive(Debug)]
pub struct WorkerFds {
    /// The segment that the supervisor writes.
    pub down: OwnedFd,
    /// The segment that the worker writes.
    pub up: OwnedFd,
    /// The doorbell that the worker waits for: its end to wait for.
    pub bell_to_worker: OwnedFd,
    /// The doorbell that the worker rings: its end to ring.
    pub bell_from_worker: OwnedFd,
    /// The doorbell for space in the worker's ring: its end to wait for.
    pub space: OwnedFd,
    /// The pipe for messages to the supervisor: its end to write.
    pub control: OwnedFd,
}

impl WorkerFds {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// From all of them, in the order of [`WorkerFds::into_array`].
    pub fn from_array(descriptors: [OwnedFd; Self::COUNT]) -> WorkerFds {
        let [down, up, bell_to_worker, bell_from_worker, space, control] = descriptors;
        WorkerFds { down, up, bell_to_worker, bell_from_worker, space, control }
    }

    /// Their numbers, for the worker's command line.
    pub fn raw(&self) -> RawFds {
        RawFds {
            down: self.down.as_raw_fd(),
            up: self.up.as_raw_fd(),
            bell_to_worker: self.bell_to_worker.as_raw_fd(),
            bell_from_worker: self.bell_from_worker.as_raw_fd(),
            space: self.space.as_raw_fd(),
            control: self.control.as_raw_fd(),
        }
    }

    /// Lets `command` hand them to the process that it starts, under the same numbers, and no other
    /// descriptors above 2. They live as long as the command.
    pub fn pass_to(self, command: &mut Command) {
        inherit::pass_only(command, Vec::from(self.into_array()));
    }

    /// All of them, in the order in which [`RawFds`] writes them.
    pub fn into_array(self) -> [OwnedFd; Self::COUNT] {
        [self.down, self.up, self.bell_to_worker, self.bell_from_worker, self.space, self.control]
    }
}

/// Numbers of a worker's descriptors. As text: six numbers with commas between them, in the order
/// of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFds {
    /// See [`WorkerFds::down`].
    pub down: RawFd,
    /// See [`WorkerFds::up`].
    pub up: RawFd,
    /// See [`WorkerFds::bell_to_worker`].
    pub bell_to_worker: RawFd,
    /// See [`WorkerFds::bell_from_worker`].
    pub bell_from_worker: RawFd,
    /// See [`WorkerFds::space`].
    pub space: RawFd,
    /// See [`WorkerFds::control`].
    pub control: RawFd,
}

impl RawFds {
    /// Makes them this process's own, and keeps them from its children.
    ///
    /// # Errors
    ///
    /// Those of [`inherit::claim`].
    pub fn claim(self) -> io::Result<WorkerFds> {
        Ok(WorkerFds {
            down: inherit::claim(self.down)?,
            up: inherit::claim(self.up)?,
            bell_to_worker: inherit::claim(self.bell_to_worker)?,
            bell_from_worker: inherit::claim(self.bell_from_worker)?,
            space: inherit::claim(self.space)?,
            control: inherit::claim(self.control)?,
        })
    }
}

impl fmt::Display for RawFds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RawFds { down, up, bell_to_worker, bell_from_worker, space, control } = self;
        write!(f, "{down},{up},{bell_to_worker},{bell_from_worker},{space},{control}")
    }
}

impl FromStr for RawFds {
    type Err = String;

    fn from_str(text: &str) -> Result<RawFds, String> {
        let numbers: Option<Vec<RawFd>> = text.split(',').map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[down, up, bell_to_worker, bell_from_worker, space, control]) => {
                Ok(RawFds { down, up, bell_to_worker, bell_from_worker, space, control })
            }
            _ => Err(format!("`{text}` is not six descriptors with commas between them")),
        }
    }
}
