//! The command line's side of the control socket: sends a request, waits for the reply, prints it.
//!
//! Exit status: 0 for success, 1 if the request failed or no show is running. (2, for a command
//! line that makes no sense, comes from its parser.)

mod find;
mod places;

mod connection;
mod monitoring;

mod detail;
mod outcomes;
mod table;
mod text;
mod universes;

use super::args::{CommandArgs, GetArgs, MonitorArgs, QuitArgs, SendArgs, SocketArgs, StatusArgs};
use super::protocol::{ControlReply, ControlRequest, ErrorReply, InstanceNames, ShowStatus};
use super::request::InstanceCommand;
use crate::stderr::print_line;
use crate::terminal::{self, wants_color};
use connection::{REPLY_TIMEOUT, ShowConnection};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use text::clean;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    /// There is no show to connect to.
    #[error("no show is running")]
    NoShow,
    /// There is more than one.
    #[error("{} shows are running: {}", .0.len(), find::list(.0))]
    Several(Vec<find::RunningShow>),
    /// None of those that run has that name.
    #[error("no running show is named `{name}`")]
    NotNamed {
        /// The name.
        name: String,
        /// Those that run.
        shows: Vec<find::RunningShow>,
    },
    /// The socket that was named does not answer.
    #[error("no show answers at `{}`: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another user listens.
    #[error("`{}` is owned by user {uid}; refusing to connect", path.display())]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// The user who listens.
        uid: u32,
    },
    /// The reply is late.
    #[error("the show did not answer within {} s", REPLY_TIMEOUT.as_secs())]
    Silent,
    /// The connection was closed.
    #[error("the show has ended")]
    Ended,
    /// The reply is not one to this request.
    #[error("unexpected reply from the show: {0}")]
    Garbled(String),
    /// The show refused the request.
    #[error("{}", clean(&.0.message))]
    Refused(ErrorReply),
    /// Reading or writing failed.
    #[error("cannot communicate with the show: {0}")]
    Io(io::Error),
    /// The reply could not be printed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl ClientError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoShow => Some(match places::of_other_users().join(", ") {
                others if others.is_empty() => "`mm-supervisor SHOW` runs one".to_owned(),
                others => format!("{others} runs; only that user and root can control it, as with `sudo`"),
            }),
            Self::Several(_) => Some("choose one with `--show NAME`, by its name or its file".into()),
            Self::NotNamed { shows, .. } if shows.is_empty() => Some("no show is running".into()),
            Self::NotNamed { shows, .. } => Some(format!("running: {}", find::list(shows))),
            Self::Garbled(_) => Some("the show may run another version of this program".into()),
            Self::Refused(error) => error.hint.as_deref().map(clean),
            _ => None,
        }
    }
}

/// `status`: prints the status of all instances.
#[must_use]
pub fn status(args: &StatusArgs) -> ExitCode {
    finish(match &args.instance {
        Some(instance) => try_detail(instance, &args.socket),
        None => try_status(&args.socket),
    })
}

/// `get`: prints the last values of channels.
#[must_use]
pub fn get(args: &GetArgs) -> ExitCode {
    finish(try_get(args))
}

/// `restart`, `reload`, `stop`, `start`: waits for the outcomes and prints them.
#[must_use]
pub fn command(command: InstanceCommand, args: &CommandArgs) -> ExitCode {
    finish(try_command(command, args))
}

/// `quit`: ends the show, and waits until it has ended.
#[must_use]
pub fn quit(args: &QuitArgs) -> ExitCode {
    finish(try_quit(&args.socket))
}

/// The file of the show whose socket is at `path`, if one answers.
#[must_use]
pub fn show_file(path: &Path) -> Option<PathBuf> {
    find::show_file(path)
}

/// `send`: sends an event.
#[must_use]
pub fn send(args: &SendArgs) -> ExitCode {
    finish(try_send(args))
}

/// `monitor`: prints events as they pass, until it is interrupted or its output is closed.
#[must_use]
pub fn monitor(args: &MonitorArgs) -> ExitCode {
    finish(try_monitor(args))
}

fn try_status(args: &SocketArgs) -> Result<bool, ClientError> {
    let mut connection = match find::find(args) {
        // a person wants to see them all, a program has asked for one
        Err(ClientError::Several(shows)) if !args.json && args.show.is_none() => {
            return print_statuses(&shows);
        }
        outcome => outcome?,
    };
    let status: ShowStatus =
        match connection.request(&ControlRequest::Status { instance: None }, Some(REPLY_TIMEOUT))? {
            ControlReply::Status(status) => status,
            other => return Err(unexpected(other)),
        };
    if args.json {
        print_json(&status)?;
    } else {
        print(&table::render(&status, jiff::Timestamp::now(), layout()))?;
        if args.socket.is_none() && args.show.is_none() {
            print_others(&[status.pid]);
        }
    }
    Ok(true)
}

fn try_detail(instance: &str, args: &SocketArgs) -> Result<bool, ClientError> {
    let request = ControlRequest::Status { instance: Some(instance.to_owned()) };
    let detail = match connect(args)?.request(&request, Some(REPLY_TIMEOUT))? {
        ControlReply::Instance(detail) => detail,
        other => return Err(unexpected(other)),
    };
    if args.json {
        print_json(&detail)?;
    } else {
        print(&detail::render(&detail, jiff::Timestamp::now(), layout()))?;
    }
    Ok(true)
}

fn try_get(args: &GetArgs) -> Result<bool, ClientError> {
    let mut connection = connect(&args.socket)?;
    let mut get = |channels: &[String]| {
        let request = ControlRequest::Get { channels: channels.to_vec() };
        match connection.request(&request, Some(REPLY_TIMEOUT))? {
            ControlReply::Values(values) => Ok(values),
            other => Err(unexpected(other)),
        }
    };
    let (mut values, mut refusals) = (Vec::new(), Vec::new());
    match get(&args.channels) {
        Ok(found) => values = found,
        // The others are there all the same.
        Err(ClientError::Refused(_)) if args.channels.len() > 1 => {
            for channel in &args.channels {
                match get(std::slice::from_ref(channel)) {
                    Ok(found) => values.extend(found),
                    Err(error @ ClientError::Refused(_)) => refusals.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    if args.socket.json {
        print_json(&values)?;
    } else {
        print(&detail::values(&values))?;
    }
    refusals.iter().for_each(report);
    Ok(refusals.is_empty())
}

/// How tables look on standard output.
fn layout() -> table::Layout {
    let out = io::stdout();
    table::Layout { color: wants_color(&out), width: terminal::width(&out) }
}

/// Prints the status of several shows.
fn print_statuses(shows: &[find::RunningShow]) -> Result<bool, ClientError> {
    let (now, layout) = (jiff::Timestamp::now(), layout());
    let statuses: Vec<&ShowStatus> = shows.iter().filter_map(|show| show.status.as_ref()).collect();
    let tables: Vec<String> = statuses.iter().map(|status| table::render(status, now, layout)).collect();
    print(&tables.join("\n"))?;
    print_others(&statuses.iter().map(|status| status.pid).collect::<Vec<_>>());
    Ok(tables.len() == shows.len())
}

/// Names the shows that run elsewhere.
fn print_others(known: &[u32]) {
    let others = find::others(known);
    if !others.is_empty() {
        print_error(&format!("also running: {}; see `--show NAME`", find::list(&others)));
    }
}

fn try_quit(args: &SocketArgs) -> Result<bool, ClientError> {
    // it takes as long as handlers and cleanup handlers, which the options of the show limit
    let hint = match connect(args)?.request(&ControlRequest::Quit {}, None) {
        Ok(ControlReply::Ended { hint }) => hint,
        // the show has ended before its last reply was read
        Err(ClientError::Ended) => None,
        Ok(other) => return Err(unexpected(other)),
        Err(error) => return Err(error),
    };
    if args.json {
        print_json(&ControlReply::Ended { hint })?;
    } else {
        print("the show has ended\n")?;
        if let Some(hint) = hint {
            print_error(&format!("hint: {}", clean(&hint)));
        }
    }
    Ok(true)
}

fn try_command(command: InstanceCommand, args: &CommandArgs) -> Result<bool, ClientError> {
    let names = InstanceNames { instances: args.instances.clone(), all: args.all };
    let request = match command {
        InstanceCommand::Restart => ControlRequest::Restart(names),
        InstanceCommand::Reload => ControlRequest::Reload(names),
        InstanceCommand::Stop => ControlRequest::Stop(names),
        InstanceCommand::Start => ControlRequest::Start(names),
    };
    // it takes as long as imports and cleanup handlers, which the options of the show limit
    let outcomes = match connect(&args.socket)?.request(&request, None)? {
        ControlReply::Done(outcomes) => outcomes,
        other => return Err(unexpected(other)),
    };
    if args.socket.json {
        print_json(&outcomes)?;
    } else {
        let (done, failed) = outcomes::render(&outcomes, wants_color(&io::stderr()));
        print(&done)?;
        print_error(failed.trim_end());
    }
    Ok(outcomes.iter().all(|outcome| outcome.ok))
}

fn try_send(args: &SendArgs) -> Result<bool, ClientError> {
    let request = ControlRequest::Send { channel: args.channel.clone(), value: args.value, out: args.out };
    let destinations = match connect(&args.socket)?.request(&request, Some(REPLY_TIMEOUT))? {
        ControlReply::Sent { destinations } => destinations,
        other => return Err(unexpected(other)),
    };
    if args.socket.json {
        print_json(&ControlReply::Sent { destinations })?;
    } else if destinations == 0 {
        print_error(&format!("warning: no mapping leads from `{}` to anywhere", clean(&args.channel)));
        if !args.out {
            print_error("hint: `send --out` puts a value out on a channel");
        }
    }
    Ok(true)
}

fn try_monitor(args: &MonitorArgs) -> Result<bool, ClientError> {
    let mut connection = connect(&args.socket)?;
    match connection
        .request(&ControlRequest::Monitor { pattern: args.pattern.clone() }, Some(REPLY_TIMEOUT))?
    {
        ControlReply::Monitoring {} => {}
        other => return Err(unexpected(other)),
    }
    let out = io::stdout();
    let format = monitoring::EventFormat { json: args.socket.json, color: wants_color(&out) };
    monitoring::run(connection, format, out).map(|()| true)
}

fn connect(args: &SocketArgs) -> Result<ShowConnection, ClientError> {
    find::find(args)
}

fn unexpected(reply: ControlReply) -> ClientError {
    match reply {
        ControlReply::Refused(refusal) => ClientError::Refused(refusal),
        other => ClientError::Garbled(clean(&format!("{other:?}"))),
    }
}

fn finish(outcome: Result<bool, ClientError>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // the reader of the output has seen enough
        Err(ClientError::Print(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn report(error: &ClientError) {
    print_error(&format!("error: {error}"));
    if let Some(hint) = error.hint() {
        print_error(&format!("hint: {hint}"));
    }
}

fn print_error(text: &str) {
    if !text.is_empty() {
        print_line(text);
    }
}

fn print(text: &str) -> Result<(), ClientError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn print_json(value: &impl Serialize) -> Result<(), ClientError> {
    let text = serde_json::to_string(value).map_err(io::Error::from)?;
    print(&format!("{text}\n"))
}
