//! The status of an instance, as the control protocol and `status --json` show it: backends and
//! instances fill it in.

use serde::{Deserialize, Serialize};

/// An instance of a running show. What does not apply to its backend is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// Its backend's name.
    pub backend: String,
    /// What it is doing.
    pub state: InstanceState,
    /// Its worker's process.
    pub pid: Option<u32>,
    /// For how long its worker has been serving, in seconds.
    pub uptime_s: Option<u64>,
    /// In how many milliseconds it will be started again.
    pub next_start_ms: Option<u64>,
    /// How often it has been started again, for whatever reason: a fault, a command, a changed file,
    /// or HUP.
    pub restarts: Option<u64>,
    /// How many of these followed a fault: its worker had ended by itself, hung, or could not be
    /// started.
    #[serde(default)]
    pub restarts_by_fault: Option<u64>,
    /// How its last worker ended.
    pub last_exit: Option<LastExit>,
    /// Events that went into it.
    pub events_in: u64,
    /// Events that came out of it.
    pub events_out: u64,
    /// Exceptions of its script, malformed packets and the like.
    pub errors: u64,
    /// The last exception of its script.
    #[serde(default)]
    pub last_error: Option<LastError>,
    /// Events that wait for it.
    pub queued: Option<u64>,
    /// Events to it or from it that were replaced by later ones of the same channel because too many
    /// waited.
    pub conflated: Option<u64>,
    /// Its worker's resident memory, in bytes.
    pub rss_bytes: Option<u64>,
    /// How long its handlers take.
    pub handler_us: Option<HandlerTimes>,
    /// The addresses or names that it sends to or receives from.
    #[serde(default)]
    pub peers: Vec<String>,
    /// What else a user should know, such as a device that is missing.
    pub note: Option<String>,
    /// The universe of an instance that speaks DMX.
    #[serde(default)]
    pub universes: Vec<UniverseStatus>,
}

/// A universe as an instance receives and sends it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UniverseStatus {
    /// Its number in its protocol; of Art-Net the lower 8 bits.
    pub universe: u32,
    /// The upper 7 bits of an Art-Net universe; null in other protocols.
    pub net: Option<u8>,
    /// The network interface, or the address, that it is received and sent on.
    pub interface: Option<String>,
    /// Where its frames are sent to; null where none are.
    pub destination: Option<String>,
    /// The sources that were received, those that send first; of many only some.
    pub sources: Vec<SourceStatus>,
    /// Whether it was received and is not any more.
    pub is_lost: bool,
    /// Frames that arrived and counted.
    pub frames_in: u64,
    /// How long ago the last one arrived, in milliseconds.
    pub last_in_ms: Option<u64>,
    /// Frames that were sent.
    pub frames_out: u64,
    /// How long ago the last one was sent, in milliseconds.
    pub last_out_ms: Option<u64>,
}

/// A source of a universe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// What it calls itself.
    pub name: Option<String>,
    /// Its IP address.
    pub address: String,
    /// Its priority, in protocols that have one.
    pub priority: Option<u8>,
    /// How many frames of it arrive.
    pub frames_per_second: f64,
    /// Whether it has ended, or nothing was received from it for 2.5 s.
    pub is_lost: bool,
}

/// What an instance is doing. Those without a worker are `running` while the show runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Its modules are being imported.
    Starting,
    /// It handles events.
    Running,
    /// It handles events, and its next worker is being started beside it.
    Reloading,
    /// It has been asked to stop.
    Stopping,
    /// It does not run, as a user wants it.
    #[default]
    Stopped,
    /// It does not run, and will be started again.
    Backoff,
    /// It does not run, and will not be started again by itself.
    Failed,
}

/// How a worker ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastExit {
    /// Why, in words.
    pub reason: String,
    /// When, as RFC 3339 has it.
    pub at: String,
    /// The last lines of what it printed to standard error.
    pub stderr_tail: Option<String>,
    /// The exception that ended it.
    pub traceback: Option<String>,
}

/// An exception of a script that goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastError {
    /// The exception and where it was raised.
    pub text: String,
    /// When, as RFC 3339 has it.
    pub at: String,
}

/// How long handlers take, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct HandlerTimes {
    /// Half of the calls take no longer than this.
    pub p50: f64,
    /// 99 of 100 calls take no longer than this.
    pub p99: f64,
    /// No call took longer than this.
    pub max: f64,
}
