//! The options of a python instance, with those of `[backend python]` as defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::absolute;
use crate::model::{Instance, Kind, Setting, Show};
use crate::options::{duration, fraction, rate, size, switch};

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
    pub failsafe: Failsafe,
    /// Channels that have a value of their own.
    pub failsafe_channels: BTreeMap<String, f64>,
    pub failsafe_after: Duration,
    /// Resident bytes, `None` when it is `off`.
    pub memory_limit: Option<u64>,
    /// Absolute path of a virtual environment.
    pub venv: Option<PathBuf>,
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

/// What output channels are set to while their instance does not run.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Failsafe {
    Hold,
    Zero,
}

/// More than `count` restarts within `within`: the instance has failed.
pub type MaxRestarts = (u32, Duration);

impl Default for PythonOptions {
    fn default() -> Self {
        Self {
            modules: Vec::new(),
            default_handler: None,
            watchdog: Some(Duration::from_secs(5)),
            start_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(2),
            restart: RestartRule::Always,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            max_restarts: None,
            queue: 1 << 20,
            failsafe: Failsafe::Hold,
            failsafe_channels: BTreeMap::new(),
            failsafe_after: Duration::from_secs(1),
            memory_limit: None,
            venv: None,
            watch: false,
        }
    }
}

impl PythonOptions {
    /// The options of `instance`: what it says itself, else `[backend python]`, else the default.
    pub fn of(show: &Show, instance: &Instance) -> Self {
        let mut options = Self::default();
        let settings = show.backend(Kind::Python).iter().chain(&instance.settings);
        settings.for_each(|setting| options.set(setting));
        options
    }

    fn set(&mut self, setting: &Setting) {
        let value = setting.value.value.as_str();
        match setting.key.value.as_str() {
            "module" => {
                let directory = setting.directory.clone();
                self.modules.push(ModuleRef { text: value.to_string(), directory });
            }
            "default-handler" => self.default_handler = Some(value.to_string()),
            "venv" => self.venv = Some(absolute(setting)),
            "watchdog" => self.watchdog = or_off(value, duration).unwrap_or(self.watchdog),
            "start-timeout" => replace(&mut self.start_timeout, duration(value)),
            "stop-timeout" => replace(&mut self.stop_timeout, duration(value)),
            "restart" => self.restart = restart_rule(value),
            "backoff" => replace(&mut self.backoff, duration(value)),
            "backoff-max" => replace(&mut self.backoff_max, duration(value)),
            "stable" => replace(&mut self.stable, duration(value)),
            "max-restarts" => replace(&mut self.max_restarts, rate(value)),
            "queue" => replace(&mut self.queue, value.parse()),
            "failsafe" => self.failsafe = if value == "zero" { Failsafe::Zero } else { Failsafe::Hold },
            "failsafe-after" => replace(&mut self.failsafe_after, duration(value)),
            "memory-limit" => self.memory_limit = or_off(value, size).unwrap_or(self.memory_limit),
            "watch" => replace(&mut self.watch, switch(value)),
            key => self.set_failsafe_channel(key, value),
        }
    }

    fn set_failsafe_channel(&mut self, key: &str, value: &str) {
        let (Some(channel), Ok(value)) = (key.strip_prefix("failsafe."), fraction(value)) else { return };
        self.failsafe_channels.insert(channel.to_string(), value);
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
