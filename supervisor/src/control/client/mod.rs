//! The command line's side of the control socket: sends a request, waits for the reply, prints it.
//!
//! Exit status: 0 for success, 1 if the request failed or no show is running. (2, for a command
//! line that makes no sense, comes from its parser.)

mod find;

mod connection;
mod monitoring;

mod outcomes;
mod table;
mod text;

use super::args::{CommandArgs, MonitorArgs, SendArgs, SocketArgs, StatusArgs};
use super::protocol::{ControlReply, ControlRequest, ErrorReply, ShowStatus};
use super::request::InstanceCommand;
use crate::stderr::print_line;
use crate::terminal::wants_color;
use connection::{REPLY_TIMEOUT, ShowConnection};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
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
            Self::NoShow => {
                let directory = crate::runtime_dir::shared_by_shows();
                Some(format!(
                    "`mm-supervisor SHOW` runs one; if its socket is not in `{}`, use `--socket PATH`",
                    directory.display()
                ))
            }
            Self::Several(_) => Some("choose one with `--socket PATH`".into()),
            Self::Garbled(_) => Some("the show may run another version of this program".into()),
            Self::Refused(error) => error.hint.as_deref().map(clean),
            _ => None,
        }
    }
}

/// `status`: prints the status of all instances.
#[must_use]
pub fn status(args: &StatusArgs) -> ExitCode {
    finish(try_status(&args.socket))
}

/// `restart`, `reload`, `stop`, `start`: waits for the outcomes and prints them.
#[must_use]
pub fn command(command: InstanceCommand, args: &CommandArgs) -> ExitCode {
    finish(try_command(command, args))
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
    let status: ShowStatus = match connect(args)?.request(&ControlRequest::Status {}, Some(REPLY_TIMEOUT))? {
        ControlReply::Status(status) => status,
        other => return Err(unexpected(other)),
    };
    if args.json {
        print_json(&status)?;
    } else {
        let now = jiff::Timestamp::now();
        print(&table::render(&status, now, wants_color(&io::stdout())))?;
    }
    Ok(true)
}

fn try_command(command: InstanceCommand, args: &CommandArgs) -> Result<bool, ClientError> {
    let instances = args.instances.clone();
    let request = match command {
        InstanceCommand::Restart => ControlRequest::Restart { instances },
        InstanceCommand::Reload => ControlRequest::Reload { instances },
        InstanceCommand::Stop => ControlRequest::Stop { instances },
        InstanceCommand::Start => ControlRequest::Start { instances },
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
    let request = ControlRequest::Send { channel: args.channel.clone(), value: args.value };
    match connect(&args.socket)?.request(&request, Some(REPLY_TIMEOUT))? {
        ControlReply::Sent {} if args.socket.json => print_json(&ControlReply::Sent {})?,
        ControlReply::Sent {} => {}
        other => return Err(unexpected(other)),
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
    find::find(args.socket.as_deref()).map(ShowConnection::new)
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
            print_error(&format!("error: {error}"));
            if let Some(hint) = error.hint() {
                print_error(&format!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
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
