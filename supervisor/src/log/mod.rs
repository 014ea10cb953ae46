//! The log: what happens in the show, one line per event, on standard error.
//!
//! The rest of the program logs through `tracing`; only this folder knows where the events go. The
//! way of an event:
//!
//! ```text
//! any thread ──► record (owned copy) ──► queue (bounded) ──► writer thread: dedup ──► render ──► standard error
//! ```
//!
//! The rules:
//!
//! - A caller never waits. Where standard error is a pipe that is not read, lines are dropped and
//!   counted, and the count is logged when there is room again. The end of the program waits one
//!   second at most.
//! - Memory is bounded in events and in bytes; one long text is cut.
//! - Texts come from scripts and from the network: control characters never reach the terminal.
//! - Repeats of a message are counted instead of written, see [`dedup`].
//!
//! The field `event` names what happened for programs that read the log, see STYLE.md. The JSON
//! format shows it, text and journal do not. The field `instance` stands in front of the message; a
//! value of several lines, such as a traceback, stays whole and stands indented under its event. A
//! field `suppressed` counts the events before this one that a
//! [`LogThrottle`](mm_shared::LogThrottle) held back; people do not see it where it is 0.
//!
//! `tracing_appender::non_blocking` (0.2) would replace `queue` and a part of `writer`, but bounds
//! its queue in lines only, renders in the thread that logs, which here is the event loop, and
//! leaves no place for the timer of `dedup`.

mod dedup;
mod memory;
mod queue;
mod record;
mod render;
mod settings;
mod writer;

pub use memory::{LogMemory, RememberedLine};
pub use record::SCRIPT;
pub use settings::{LogColor, LogFormat, LogSettings, UnknownSetting, parse_level};
pub use writer::LogGuard;

use queue::LogSender;
use record::LogRecord;
use settings::LogStyle;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The system refuses the writer thread.
    #[error("could not start the log's writer thread: {0}")]
    Thread(#[from] io::Error),
    /// The process has a log already.
    #[error("the log is already set up")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up the log on standard error for the whole process, panics included. `memory` takes the last
/// lines of each instance.
///
/// # Errors
///
/// The system refuses the writer thread, or the process has a log already.
pub fn init(settings: LogSettings, memory: Arc<LogMemory>) -> Result<LogGuard, InitError> {
    let style = settings.style_for_stderr();
    let (subscriber, guard) = with_style(settings, style, writer::Stderr, memory)?;
    tracing::subscriber::set_global_default(subscriber)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// A log that goes to `sink`, for tests; [`LogFormat::Auto`] is text there, and [`LogColor::Auto`]
/// has none.
///
/// # Errors
///
/// The system refuses the writer thread.
pub fn to_sink<W>(settings: LogSettings, sink: W) -> io::Result<(impl Subscriber + Send + Sync, LogGuard)>
where
    W: Write + Send + 'static,
{
    with_style(settings, settings.style_for_sink(), sink, Arc::default())
}

fn with_style<W>(
    settings: LogSettings,
    style: LogStyle,
    sink: W,
    memory: Arc<LogMemory>,
) -> io::Result<(impl Subscriber + Send + Sync, LogGuard)>
where
    W: Write + Send + 'static,
{
    let (sender, receiver) = queue::bounded();
    writer::spawn(receiver, style, sink, memory)?;
    let guard = LogGuard::new(sender.clone());
    let subscriber = tracing_subscriber::registry().with(LogLayer { sender }).with(settings.filter());
    Ok((subscriber, guard))
}

/// Copies events out of `tracing` into the queue.
struct LogLayer {
    sender: LogSender,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.sender.push(LogRecord::of(event));
    }
}

/// Logs a panic like any other event: printed directly, it could wait for a terminal that is not
/// read.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let what = info.payload_as_str().unwrap_or("no text");
    tracing::error!(event = "thread_panicked", place, thread, "panic: {what}");
}

#[cfg(test)]
mod tests;
