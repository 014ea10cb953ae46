//! The section `[supervisor]`: options of the whole show.

use std::path::PathBuf;

use crate::model::Show;
use crate::options::{InvalidValue, OptionSpec, ValueKind, switch};

/// All options of the section.
pub static SUPERVISOR_OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("socket", ValueKind::Path, "", "where the control socket is").global_only(),
    OptionSpec::new(
        "state-file",
        ValueKind::Path,
        "",
        "keeps the last value of every channel over a restart",
    )
    .global_only(),
    OptionSpec::new("state-dir", ValueKind::Path, "", "where a copy of the last good show file is kept")
        .global_only(),
    OptionSpec::new(
        "low-latency",
        ValueKind::Switch,
        "off",
        "keep the processor out of deep sleep while the show runs",
    )
    .global_only(),
    OptionSpec::new("priority", PRIORITY, "", "of the event loop: a nice value, or `fifo:N`").global_only(),
];

const PRIORITY: ValueKind = ValueKind::Custom {
    form: "-20 to 19, or `fifo:1` to `fifo:99`",
    check: |text| priority(text).map(drop).map_err(|message| InvalidValue::whole(text, message)),
};

/// The values of the options of `[supervisor]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SupervisorOptions {
    /// Absolute path of the control socket.
    pub socket: Option<PathBuf>,
    /// Absolute path of the file that keeps the last values.
    pub state_file: Option<PathBuf>,
    /// Absolute path of the directory that keeps the last good show file.
    pub state_dir: Option<PathBuf>,
    pub low_latency: bool,
    pub priority: Option<Priority>,
}

/// The scheduling of the event loop.
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
                "socket" => options.socket = Some(setting.path()),
                "state-file" => options.state_file = Some(setting.path()),
                "state-dir" => options.state_dir = Some(setting.path()),
                "low-latency" => options.low_latency = switch(value).unwrap_or(options.low_latency),
                "priority" => options.priority = priority(value).ok().or(options.priority),
                _ => {}
            }
        }
        options
    }
}

/// A nice value or `fifo:N`.
fn priority(text: &str) -> Result<Priority, String> {
    let parsed = match text.strip_prefix("fifo:") {
        Some(level) => level.parse().ok().filter(|level| (1..=99).contains(level)).map(Priority::Fifo),
        None => text.parse().ok().filter(|nice| (-20..=19).contains(nice)).map(Priority::Nice),
    };
    parsed.ok_or_else(|| "expected a nice value from -20 to 19, or `fifo:1` to `fifo:99`".into())
}
