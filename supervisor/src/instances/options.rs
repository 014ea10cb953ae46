//! The options of `[python NAME]` and `[backend python]`: their table, and their values with
//! defaults filled in.
//!
//! Reading values is total, since a setting only reaches the model when its value has been checked.

use crate::backends::PYTHON;
use mm_config::options::{
    BackendSpec, InvalidValue, OptionSpec, ValueKind, duration, fraction, size, switch,
};
use mm_config::{Instance, Setting, Show};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a show file may say about `python`.
pub const SPEC: BackendSpec = BackendSpec { name: PYTHON, options: OPTIONS, ignores_options: false };

const MILLISECOND: Duration = Duration::from_millis(1);
const DURATION: ValueKind = ValueKind::Duration { least: Duration::ZERO, off: false };
const TIMEOUT: ValueKind = ValueKind::Duration { least: MILLISECOND, off: false };
const TIMEOUT_OR_OFF: ValueKind = ValueKind::Duration { least: MILLISECOND, off: true };

const HANDLER: ValueKind = ValueKind::Custom {
    form: "`module.function`",
    check: |text| match text.split('.').all(|part| !part.is_empty()) && text.contains('.') {
        true => Ok(()),
        false => Err(InvalidValue::whole(text, "expected `module.function`")),
    },
};

/// What the names of options begin with that set the failsafe value of one channel.
pub const FAILSAFE_CHANNEL: &str = "failsafe.";

const RATE: ValueKind = ValueKind::Custom {
    form: "`N/SECONDS` or `off`",
    check: |text| rate(text).map(drop).map_err(|message| InvalidValue::whole(text, message)),
};

static OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("module", ValueKind::text("module"), "", "a module to import, by name or by file")
        .accumulating()
        .instance_only(),
    OptionSpec::new(
        "default-handler",
        HANDLER,
        "",
        "`module.function`, called for every channel whose name has no dot",
    )
    .instance_only(),
    OptionSpec::new("venv", ValueKind::Path, "", "a virtual environment whose packages this instance uses")
        .instance_only(),
    OptionSpec::new(
        "watchdog",
        TIMEOUT_OR_OFF,
        "5s",
        "no progress for this long while there is work: the instance is killed and restarted",
    ),
    OptionSpec::new(
        "restart",
        ValueKind::Word(&["always", "on-failure", "never"]),
        "always",
        "when an instance that ended is started again",
    ),
    OptionSpec::new(
        "backoff",
        DURATION,
        "100ms",
        "delay before the second restart in a row; doubles with each further one, less up to a fifth at random",
    ),
    OptionSpec::new("backoff-max", DURATION, "30s", "the longest delay between two restarts"),
    OptionSpec::new(
        "stable",
        DURATION,
        "10s",
        "after running for this long without a crash, the next restart is immediate again",
    ),
    OptionSpec::new("max-restarts", RATE, "off", "more restarts than `N/SECONDS`: the instance stays down"),
    OptionSpec::new("start-timeout", TIMEOUT, "30s", "how long importing the modules may take"),
    OptionSpec::new("stop-timeout", DURATION, "2s", "how long the cleanup handler may take"),
    OptionSpec::new(
        "queue",
        ValueKind::Count { least: 1, most: 1 << 30 },
        "1048576",
        "events kept for an instance that is busy or down, before only the last of each channel is kept",
    ),
    OptionSpec::new(
        "failsafe",
        ValueKind::Word(&["hold", "zero"]),
        "hold",
        "what output channels are set to while the instance is down",
    ),
    OptionSpec::new(FAILSAFE_CHANNEL, ValueKind::Fraction, "", "the same for one channel")
        .followed_by("CHANNEL"),
    OptionSpec::new(
        "failsafe-after",
        DURATION,
        "1s",
        "how long an instance may be down before its failsafe values are sent",
    ),
    OptionSpec::new(
        "memory-limit",
        ValueKind::Size { least: 1 << 20, off: true },
        "off",
        "memory of the instance, its child processes included, over this: it is restarted",
    ),
    OptionSpec::new(
        "reload",
        ValueKind::Word(&["overlap", "restart"]),
        "overlap",
        "whether the new worker is started beside the old one, or after its end",
    ),
    OptionSpec::new(
        "watch",
        ValueKind::Switch,
        "off",
        "reload the instance when a file of its modules changes",
    ),
];

/// What a python instance is to run and how it is supervised.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonOptions {
    /// In the order in which they are to be imported.
    pub modules: Vec<ModuleRef>,
    pub default_handler: Option<String>,
    /// `None` when it is `off`.
    pub watchdog: Option<Duration>,
    pub start_timeout: Duration,
    pub stop_timeout: Duration,
    pub restart: RestartRule,
    pub backoff: Duration,
    pub backoff_max: Duration,
    pub stable: Duration,
    /// `None` when it is `off`: restarts never give up.
    pub max_restarts: Option<MaxRestarts>,
    /// Events, at least 1.
    pub queue: usize,
    pub failsafe: FailsafeRule,
    /// Channels that have a value of their own.
    pub failsafe_channels: BTreeMap<String, f64>,
    pub failsafe_after: Duration,
    /// Bytes, `None` when it is `off`.
    pub memory_limit: Option<u64>,
    /// Absolute path of a virtual environment.
    pub venv: Option<PathBuf>,
    pub reload: ReloadRule,
    pub watch: bool,
}

/// A module as it is written, and the directory it is written relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleRef {
    pub text: String,
    pub directory: PathBuf,
}

/// When an instance that ended is started again.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum RestartRule {
    Always,
    OnFailure,
    Never,
}

/// How a reload gets from the old worker to the new one.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ReloadRule {
    /// The new one imports its modules while the old one serves.
    Overlap,
    /// The old one ends first.
    Restart,
}

/// What output channels are set to while their instance does not run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FailsafeRule {
    Hold,
    Zero,
}

/// More than `count` restarts within `within`: the instance has failed.
pub type MaxRestarts = (u32, Duration);

impl Default for PythonOptions {
    /// The defaults of the table.
    fn default() -> Self {
        let mut options = Self {
            modules: Vec::new(),
            default_handler: None,
            watchdog: None,
            start_timeout: Duration::ZERO,
            stop_timeout: Duration::ZERO,
            restart: RestartRule::Always,
            backoff: Duration::ZERO,
            backoff_max: Duration::ZERO,
            stable: Duration::ZERO,
            max_restarts: None,
            queue: 1,
            failsafe: FailsafeRule::Hold,
            failsafe_channels: BTreeMap::new(),
            failsafe_after: Duration::ZERO,
            memory_limit: None,
            venv: None,
            reload: ReloadRule::Overlap,
            watch: false,
        };
        let with_default = OPTIONS.iter().filter(|spec| !spec.default.is_empty());
        with_default.for_each(|spec| options.set(spec.name, spec.default, Path::new("")));
        options
    }
}

impl PythonOptions {
    /// The options of `instance`: what it says itself, else `[backend python]`, else the default.
    pub fn of(show: &Show, instance: &Instance) -> Self {
        let mut options = Self::default();
        let settings = show.backend(PYTHON).iter().chain(&instance.settings);
        for Setting { key, value, directory } in settings {
            options.set(&key.value, &value.value, directory);
        }
        options
    }

    /// Sets one option; paths in its value are relative to `directory`.
    fn set(&mut self, key: &str, value: &str, directory: &Path) {
        match key {
            "module" => {
                let (text, directory) = (value.to_string(), directory.to_path_buf());
                self.modules.push(ModuleRef { text, directory });
            }
            "default-handler" => self.default_handler = Some(value.to_string()),
            "venv" => self.venv = Some(directory.join(value)),
            "watchdog" => self.watchdog = or_off(value, duration).unwrap_or(self.watchdog),
            "start-timeout" => replace(&mut self.start_timeout, duration(value)),
            "stop-timeout" => replace(&mut self.stop_timeout, duration(value)),
            "restart" => self.restart = restart_rule(value),
            "backoff" => replace(&mut self.backoff, duration(value)),
            "backoff-max" => replace(&mut self.backoff_max, duration(value)),
            "stable" => replace(&mut self.stable, duration(value)),
            "max-restarts" => replace(&mut self.max_restarts, rate(value)),
            "queue" => replace(&mut self.queue, value.parse()),
            "failsafe" => {
                self.failsafe = if value == "zero" { FailsafeRule::Zero } else { FailsafeRule::Hold }
            }
            "failsafe-after" => replace(&mut self.failsafe_after, duration(value)),
            "memory-limit" => self.memory_limit = or_off(value, size).unwrap_or(self.memory_limit),
            "reload" => {
                self.reload = if value == "restart" { ReloadRule::Restart } else { ReloadRule::Overlap }
            }
            "watch" => replace(&mut self.watch, switch(value)),
            key => self.set_failsafe_channel(key, value),
        }
    }

    fn set_failsafe_channel(&mut self, key: &str, value: &str) {
        let (Some(channel), Ok(value)) = (key.strip_prefix(FAILSAFE_CHANNEL), fraction(value)) else {
            return;
        };
        self.failsafe_channels.insert(channel.to_string(), value);
    }
}

/// `N/SECONDS`, where the second part is in seconds or a duration; `off` is `None`.
fn rate(text: &str) -> Result<Option<MaxRestarts>, String> {
    if text == "off" {
        return Ok(None);
    }
    let expected = || "expected `N/SECONDS`, such as `5/60`, or `off`".to_string();
    let (count, within) = text.split_once('/').ok_or_else(expected)?;
    let count: u32 = count.trim().parse().map_err(|_| expected())?;
    let within = match within.trim().parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => duration(within.trim()),
    };
    match within {
        Ok(within) if within > Duration::ZERO => Ok(Some((count, within))),
        _ => Err(expected()),
    }
}

/// Keeps what is there when the value does not parse, which `load` has ruled out.
fn replace<T, E>(option: &mut T, parsed: Result<T, E>) {
    if let Ok(value) = parsed {
        *option = value;
    }
}

fn or_off<T>(text: &str, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text == "off" { Ok(None) } else { parse(text).map(Some) }
}

fn restart_rule(text: &str) -> RestartRule {
    match text {
        "never" => RestartRule::Never,
        "on-failure" => RestartRule::OnFailure,
        _ => RestartRule::Always,
    }
}

#[cfg(test)]
mod tests;
