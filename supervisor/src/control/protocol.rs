//! What goes over the socket: one JSON object per line, in both directions, on one screen.
//!
//! A client sends requests and gets one reply for each, in their order. `monitor` is the exception:
//! its replies are `monitoring` and then any number of `event` and `dropped`, until the client
//! closes the connection. A client that sends nothing for 60 s, and does not monitor, is
//! disconnected with a last `refused`; one that leaves replies or events unread for 10 s is
//! disconnected without it.
//!
//! ```text
//! {"verb":"status"}                                       {"status":{"show":…,"pid":…,"uptime_s":…,"instances":[…]}}
//! {"verb":"restart","instances":["a","b"]}                {"done":[{"instance":"a","ok":true,"message":…,"traceback":null},…]}
//!   (reload, stop and start in the same way)
//! {"verb":"send","channel":"a.channel","value":0.5}       {"sent":{}}
//! {"verb":"monitor","pattern":"a.*"}                      {"monitoring":{}} {"event":{"instance":"a",…}} {"dropped":7} …
//!   (pattern may be left out)
//! anything that cannot be done                            {"refused":{"message":…,"hint":…}}
//! ```

use super::request::{InstanceCommand, RequestBody};
pub use crate::status::{HandlerTimes, InstanceState, InstanceStatus, LastExit};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The longest request in bytes, without its line end.
pub const REQUEST_LIMIT: usize = 64 * 1024;

/// A line from a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase", deny_unknown_fields)]
pub enum ControlRequest {
    /// The status of all instances.
    Status {},
    /// Stop instances, then start them.
    Restart {
        /// Their names.
        instances: Vec<String>,
    },
    /// Replace the workers of instances as soon as new ones are ready.
    Reload {
        /// Their names.
        instances: Vec<String>,
    },
    /// Stop instances.
    Stop {
        /// Their names.
        instances: Vec<String>,
    },
    /// Start instances.
    Start {
        /// Their names.
        instances: Vec<String>,
    },
    /// Route an event as if it had come in on a channel.
    Send {
        /// `INSTANCE.CHANNEL`.
        channel: String,
        /// From 0.0 to 1.0.
        value: f64,
    },
    /// Show events as they pass.
    Monitor {
        /// `INSTANCE.CHANNEL` with `*` and `?`; all without it.
        #[serde(default)]
        pattern: Option<String>,
    },
}

/// A line to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlReply {
    /// The status of all instances.
    Status(ShowStatus),
    /// The outcome of a command for each instance.
    Done(Vec<Outcome>),
    /// The event is routed.
    Sent {},
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

/// The direction of an event, as seen from its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventDirection {
    /// Out of the instance, into the show.
    Out,
    /// From the show into the instance.
    In,
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
        ControlRequest::Status {} => RequestBody::Status,
        ControlRequest::Restart { instances } => command(InstanceCommand::Restart, instances)?,
        ControlRequest::Reload { instances } => command(InstanceCommand::Reload, instances)?,
        ControlRequest::Stop { instances } => command(InstanceCommand::Stop, instances)?,
        ControlRequest::Start { instances } => command(InstanceCommand::Start, instances)?,
        ControlRequest::Send { channel, value } => send(&channel, value)?,
        ControlRequest::Monitor { pattern } => RequestBody::Monitor { pattern },
    })
}

fn command(command: InstanceCommand, mut instances: Vec<String>) -> Result<RequestBody, ErrorReply> {
    if instances.is_empty() {
        return Err(ErrorReply::new("no instance is named"));
    }
    // A line has room for thousands of names, and the loop acts on each.
    let mut known = HashSet::new();
    instances.retain(|name| known.insert(name.clone()));
    Ok(RequestBody::Command { command, instances })
}

fn send(name: &str, value: f64) -> Result<RequestBody, ErrorReply> {
    let (instance, channel) = split_channel(name)?;
    if !(0.0..=1.0).contains(&value) {
        return Err(ErrorReply::new(format!("the value `{value}` is not from 0.0 to 1.0")));
    }
    Ok(RequestBody::Send { instance: instance.to_owned(), channel: channel.to_owned(), value })
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
