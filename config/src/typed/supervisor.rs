//! `[supervisor]`: options for the whole show.

use std::path::PathBuf;

use super::absolute;
use crate::model::Show;
use crate::options::{priority, switch};

/// What the show says about the supervisor itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupervisorOptions {
    /// Absolute path of the control socket.
    pub socket: Option<PathBuf>,
    /// Absolute path of the file that keeps the last values.
    pub state_file: Option<PathBuf>,
    pub low_latency: bool,
    pub priority: Option<Priority>,
}

/// The scheduling of the core loop.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Priority {
    /// A nice value, -20 to 19.
    Nice(i32),
    /// A real-time priority of the FIFO class, 1 to 99.
    Fifo(u8),
}

impl SupervisorOptions {
    pub fn of(show: &Show) -> Self {
        let mut options = Self::default();
        for setting in &show.supervisor {
            let value = setting.value.value.as_str();
            match setting.key.value.as_str() {
                "socket" => options.socket = Some(absolute(setting)),
                "state-file" => options.state_file = Some(absolute(setting)),
                "low-latency" => options.low_latency = switch(value).unwrap_or(options.low_latency),
                "priority" => options.priority = priority(value).ok().or(options.priority),
                _ => {}
            }
        }
        options
    }
}
