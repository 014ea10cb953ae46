//! The command line's side of the control socket: asks, waits, prints.
//!
//! Exit status: 0 when it is done, 1 when it failed or no show is running. (2, for what makes no sense on the command
//! line, comes from its parser.)

mod find;

mod exchange;
mod monitoring;

mod outcomes;
mod table;
mod text;

use super::args::{CommandArgs, MonitorArgs, SendArgs, SocketArgs, StatusArgs};
use super::protocol::{ControlReply, ControlRequest, ErrorReply, ShowStatus};
use super::request::InstanceCommand;
use crate::terminal::wants_color;
use exchange::{Exchange, PATIENCE};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use text::clean;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    /// There is nothing to talk to.
    #[error("no show is running")]
    NoShow,
    /// There is more than one to talk to.
    #[error("{} shows are running: {}", .0.len(), find::list(.0))]
    Several(Vec<find::Found>),
    /// The socket that was named leads nowhere.
    #[error("no show answers at `{}`: {source}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody else listens.
    #[error("`{}` belongs to user {uid}, which could be anybody's trap", path.display())]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// It does not say anything.
    #[error("the show does not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// It has gone away.
    #[error("the show has ended")]
    Ended,
    /// It says something else.
    #[error("the show's answer makes no sense here: {0}")]
    Garbled(String),
    /// It says no.
    #[error("{}", clean(&.0.message))]
    Refused(ErrorReply),
    /// Reading from it failed.
    #[error("cannot talk to the show: {0}")]
    Talk(io::Error),
    /// The answer could not be printed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl ClientError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoShow => {
                let place = crate::runtime_dir::shared_by_shows();
                Some(format!(
                    "`mm-supervisor --config show.cfg` runs one; one whose socket is not in `{}` is reached with `--socket PATH`",
                    place.display()
                ))
            }
            Self::Several(_) => Some("say which with `--socket PATH`".into()),
            Self::Garbled(_) => Some("the show may run in another version of this program".into()),
            Self::Refused(refusal) => refusal.hint.as_deref().map(clean),
            _ => None,
        }
    }
}

/// `status`: prints how the instances are.
#[must_use]
pub fn status(args: &StatusArgs) -> ExitCode {
    finish(try_status(&args.socket))
}

/// `restart`, `reload`, `stop`, `start`: has it done, and prints what came of it.
#[must_use]
pub fn act(act: InstanceCommand, args: &CommandArgs) -> ExitCode {
    finish(try_act(act, args))
}

/// `send`: puts an event in.
#[must_use]
pub fn send(args: &SendArgs) -> ExitCode {
    finish(try_send(args))
}

/// `monitor`: prints events as they pass, until it is interrupted or nobody reads them any more.
#[must_use]
pub fn monitor(args: &MonitorArgs) -> ExitCode {
    finish(try_monitor(args))
}

fn try_status(args: &SocketArgs) -> Result<bool, ClientError> {
    let status: ShowStatus = match exchange(args)?.ask(&ControlRequest::Status {}, Some(PATIENCE))? {
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

fn try_act(act: InstanceCommand, args: &CommandArgs) -> Result<bool, ClientError> {
    let instances = args.instances.clone();
    let request = match act {
        InstanceCommand::Restart => ControlRequest::Restart { instances },
        InstanceCommand::Reload => ControlRequest::Reload { instances },
        InstanceCommand::Stop => ControlRequest::Stop { instances },
        InstanceCommand::Start => ControlRequest::Start { instances },
    };
    // it takes as long as imports and cleanup handlers take, which the show's own options limit
    let outcomes = match exchange(&args.socket)?.ask(&request, None)? {
        ControlReply::Done(outcomes) => outcomes,
        other => return Err(unexpected(other)),
    };
    if args.socket.json {
        print_json(&outcomes)?;
    } else {
        let (done, failed) = outcomes::render(&outcomes, wants_color(&io::stderr()));
        print(&done)?;
        say(failed.trim_end());
    }
    Ok(outcomes.iter().all(|outcome| outcome.ok))
}

fn try_send(args: &SendArgs) -> Result<bool, ClientError> {
    let request = ControlRequest::Send { channel: args.channel.clone(), value: args.value };
    match exchange(&args.socket)?.ask(&request, Some(PATIENCE))? {
        ControlReply::Sent {} if args.socket.json => print_json(&ControlReply::Sent {})?,
        ControlReply::Sent {} => {}
        other => return Err(unexpected(other)),
    }
    Ok(true)
}

fn try_monitor(args: &MonitorArgs) -> Result<bool, ClientError> {
    let mut exchange = exchange(&args.socket)?;
    match exchange.ask(&ControlRequest::Monitor { pattern: args.pattern.clone() }, Some(PATIENCE))? {
        ControlReply::Monitoring {} => {}
        other => return Err(unexpected(other)),
    }
    let out = io::stdout();
    let style = monitoring::Style { json: args.socket.json, color: wants_color(&out) };
    monitoring::run(exchange, style, out).map(|()| true)
}

fn exchange(args: &SocketArgs) -> Result<Exchange, ClientError> {
    find::find(args.socket.as_deref()).map(Exchange::new)
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
        // whoever read this has seen enough
        Err(ClientError::Print(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            if let Some(hint) = error.hint() {
                say(&format!("hint: {hint}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Writes lines to standard error, which may be gone.
fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(io::stderr(), "{text}");
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
