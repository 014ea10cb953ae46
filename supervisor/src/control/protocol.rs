//! What goes over the socket: one JSON object per line, in both directions, on one screen.
//!
//! A client sends requests and gets one reply for each, in their order. `monitor` is the exception:
//! its replies are `monitoring` and then any number of `event` and `dropped`, until the client
//! closes the connection. A client that sends nothing for 60 s, and does not monitor, is
//! disconnected with a last `refused`; one that leaves replies or events unread for 10 s is
//! disconnected without it.
//!
//! ```text
//! {"verb":"status"}                                       {"status":{"show":…,"file":…,"pid":…,"uptime_s":…,"instances":[…]}}
//! {"verb":"status","instance":"a"}                        {"instance":{"instance":{…},"channels":[…],"channels_left_out":0,"log":[…]}}
//! {"verb":"get","channels":["a.channel"]}                 {"values":[{"channel":"a.channel","in":{"value":…,"count":…,"ago_ms":…},"out":null}]}
//! {"verb":"restart","instances":["a","b"]}                {"done":[{"instance":"a","ok":true,"message":…,"traceback":null},…]}
//!   (reload, stop and start in the same way; "all":true in place of the names means every Python instance)
//! {"verb":"send","channel":"a.channel","value":0.5}       {"sent":{"destinations":2}}
//!   ("out":true puts the value out on the channel, as if it had been routed there)
//! {"verb":"quit"}                                         {"ended":{"hint":null}}, when all workers are gone
//! {"verb":"monitor","pattern":"a.*"}                      {"monitoring":{}} {"event":{"instance":"a",…}} {"dropped":7} …
//!   (pattern may be left out)
//! anything that cannot be done                            {"refused":{"message":…,"hint":…}}
//! ```

use super::request::{InstanceCommand, RequestBody};
use crate::log::RememberedLine;
pub use crate::status::{
    HandlerTimes, InstanceState, InstanceStatus, LastExit, SourceStatus, UniverseStatus,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The longest request in bytes, without its line end.
pub const REQUEST_LIMIT: usize = 64 * 1024;

/// A line from a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
pub enum ControlRequest {
    /// The status of all instances, or one of them in detail.
    Status {
        /// Its name.
        #[serde(default)]
        instance: Option<String>,
    },
    /// The last values of channels.
    Get {
        /// `INSTANCE.CHANNEL`.
        channels: Vec<String>,
    },
    /// Stop instances, then start them.
    Restart(InstanceNames),
    /// Replace the workers of instances as soon as new ones are ready.
    Reload(InstanceNames),
    /// Stop instances.
    Stop(InstanceNames),
    /// Start instances.
    Start(InstanceNames),
    /// Route an event as if it had come in on a channel, or put it out on one.
    Send {
        /// `INSTANCE.CHANNEL`.
        channel: String,
        /// From 0.0 to 1.0.
        value: f64,
        /// Whether the value goes out on the channel, as if it had been routed there.
        #[serde(default)]
        out: bool,
    },
    /// End the show.
    Quit {},
    /// Show events as they pass.
    Monitor {
        /// `INSTANCE.CHANNEL` with `*` and `?`; all without it.
        #[serde(default)]
        pattern: Option<String>,
    },
}

/// The instances that a command is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceNames {
    /// Their names.
    #[serde(default)]
    pub instances: Vec<String>,
    /// All instances of `python`, in place of names.
    #[serde(default)]
    pub all: bool,
}

/// A line to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlReply {
    /// The status of all instances.
    Status(ShowStatus),
    /// One instance in detail.
    Instance(Box<InstanceDetail>),
    /// The last values of channels, in the order of the request.
    Values(Vec<ChannelValues>),
    /// The outcome of a command for each instance.
    Done(Vec<Outcome>),
    /// The event is on its way.
    Sent {
        /// To how many channels.
        #[serde(default)]
        destinations: usize,
    },
    /// The show has ended.
    Ended {
        /// What a user should know besides.
        #[serde(default)]
        hint: Option<String>,
    },
    /// Events follow.
    Monitoring {},
    /// An event.
    Event(EventReply),
    /// The client was too slow for this many events, which are missing here.
    Dropped(u64),
    /// The request cannot be carried out.
    Refused(ErrorReply),
}

/// A running show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShowStatus {
    /// Its name: the show file's stem.
    pub show: String,
    /// The path of the show file.
    #[serde(default)]
    pub file: String,
    /// The supervisor's process.
    pub pid: u32,
    /// For how long it has been running, in seconds.
    pub uptime_s: u64,
    /// Why the last good show runs in place of the show file; null while the show file's runs.
    #[serde(default)]
    pub last_good: Option<String>,
    /// In the order of the show file.
    pub instances: Vec<InstanceStatus>,
}

/// An instance of a running show in detail.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceDetail {
    /// As in the status of the show.
    pub instance: InstanceStatus,
    /// The channels that mappings use; of many only the first.
    pub channels: Vec<ChannelDetail>,
    /// How many more there are.
    pub channels_left_out: usize,
    /// The last lines of its log, the oldest first.
    #[serde(default)]
    pub log: Vec<RememberedLine>,
}

/// A channel with its values and mappings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelDetail {
    /// Its name and its values.
    #[serde(flatten)]
    pub values: ChannelValues,
    /// The channels that are mapped to it.
    pub from: Vec<String>,
    /// The channels that it is mapped to.
    pub to: Vec<String>,
}

/// The last values of a channel, in the directions of a person who looks at the show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelValues {
    /// `INSTANCE.CHANNEL`.
    pub channel: String,
    /// What came in last.
    #[serde(rename = "in")]
    pub coming_in: Option<LastValue>,
    /// What went out last.
    #[serde(rename = "out")]
    pub going_out: Option<LastValue>,
}

/// The last value of a channel in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LastValue {
    /// From 0.0 to 1.0.
    pub value: f64,
    /// How many values have passed since the show started; 0 for one that the state file kept.
    pub count: u64,
    /// How long ago it passed, in milliseconds; null for one that the state file kept.
    pub ago_ms: Option<u64>,
}

/// The outcome of a command for an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub instance: String,
    /// Whether it succeeded.
    pub ok: bool,
    /// The outcome for a person: `running, pid 4711 after 12 ms`.
    pub message: String,
    /// The exception that made it fail.
    pub traceback: Option<String>,
}

/// An event that passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventReply {
    /// The instance's name.
    pub instance: String,
    /// The channel's name.
    pub channel: String,
    /// Which way it went.
    #[serde(rename = "way")]
    pub direction: EventDirection,
    /// From 0.0 to 1.0.
    pub value: f64,
    /// When, in milliseconds since the beginning of 1970 (UTC).
    pub time_ms: u64,
}

/// The direction of an event, as a person sees it who looks at the show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventDirection {
    /// From outside into the show, or from the show into a script.
    In,
    /// Out of the show, or out of a script.
    Out,
}

/// Why a request cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReply {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ErrorReply {
    /// A refusal without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// The answer to a request that the loop can no longer carry out.
    #[must_use]
    pub fn show_is_ending() -> Self {
        Self::new("the show is ending")
    }

    /// Adds a hint where there is one.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// Reads a line of a client, which may be anything.
///
/// # Errors
///
/// It is not a request, or one that makes no sense in any show.
pub fn parse(line: &[u8]) -> Result<RequestBody, ErrorReply> {
    let request: ControlRequest = serde_json::from_slice(line).map_err(|error| {
        ErrorReply::new(format!("not a request: {error}"))
            .hint(Some(r#"one JSON object per line, such as {"verb":"status"}"#.to_owned()))
    })?;
    Ok(match request {
        ControlRequest::Status { instance } => RequestBody::Status { instance },
        ControlRequest::Get { channels } if channels.is_empty() => {
            return Err(ErrorReply::new("no channel is named"));
        }
        ControlRequest::Get { channels } => RequestBody::Get { channels },
        ControlRequest::Restart(names) => command(InstanceCommand::Restart, names)?,
        ControlRequest::Reload(names) => command(InstanceCommand::Reload, names)?,
        ControlRequest::Stop(names) => command(InstanceCommand::Stop, names)?,
        ControlRequest::Start(names) => command(InstanceCommand::Start, names)?,
        ControlRequest::Send { channel, value, out } => send(&channel, value, out)?,
        ControlRequest::Quit {} => RequestBody::Quit,
        ControlRequest::Monitor { pattern } => RequestBody::Monitor { pattern },
    })
}

fn command(command: InstanceCommand, mut names: InstanceNames) -> Result<RequestBody, ErrorReply> {
    // A line has room for thousands of names, and the loop acts on each.
    let mut known = HashSet::new();
    names.instances.retain(|name| known.insert(name.clone()));
    match (names.instances.is_empty(), names.all) {
        (true, false) => Err(ErrorReply::new("no instance is named")),
        (false, true) => Err(ErrorReply::new("instances are named, and all are asked for")),
        _ => Ok(RequestBody::Command { command, names }),
    }
}

fn send(name: &str, value: f64, out: bool) -> Result<RequestBody, ErrorReply> {
    let (instance, channel) = split_channel(name)?;
    if !(0.0..=1.0).contains(&value) {
        return Err(ErrorReply::new(format!("the value `{value}` is not from 0.0 to 1.0")));
    }
    Ok(RequestBody::Send { instance: instance.to_owned(), channel: channel.to_owned(), value, out })
}

/// The two halves of `INSTANCE.CHANNEL`: the first dot separates.
///
/// # Errors
///
/// There is no dot, or nothing on one side of it.
pub fn split_channel(name: &str) -> Result<(&str, &str), ErrorReply> {
    match name.split_once('.') {
        Some((instance, channel)) if !instance.is_empty() && !channel.is_empty() => Ok((instance, channel)),
        _ => Err(ErrorReply::new(format!("`{name}` is not a channel"))
            .hint(Some("a channel is written `INSTANCE.CHANNEL`".to_owned()))),
    }
}

/// Appends a message as a line.
pub fn write_line(out: &mut Vec<u8>, message: &impl Serialize) {
    let before = out.len();
    // nothing in these types fails to serialize; if it did, the client would get this
    if serde_json::to_writer(&mut *out, message).is_err() {
        out.truncate(before);
        out.extend_from_slice(br#"{"refused":{"message":"the reply cannot be written","hint":null}}"#);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
