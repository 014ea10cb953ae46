//! The log: what happens in the show, one line an event, on standard error.
//!
//! The rest of the program speaks to `tracing`; nothing but this folder knows where that goes. The way of an event:
//!
//! ```text
//! any thread ──► record (owned copy) ──► queue (bounded) ──► writer thread: repeats ──► render ──► standard error
//! ```
//!
//! The rules:
//!
//! - A caller never waits. Where standard error is a pipe that nobody reads, lines are dropped and counted, and the
//!   count is logged when there is room again.
//! - Memory is bounded in events and in bytes; one long text is cut.
//! - Texts come from scripts and from the network: control characters never reach the terminal.
//! - Repeats of a message are counted instead of written, see [`dedup`].
//!
//! The field `event` names what happened for programs that read the log, see STYLE.md. The JSON format shows it, text
//! and journal do not. The field `instance` is shown in front of the message; a value of several lines, such as a traceback, stays whole
//! and stands indented under its event.

mod dedup;
mod escape;
mod queue;
mod record;
mod render;
mod settings;
mod writer;

pub use record::SCRIPT;
pub use settings::{Color, Format, Settings, UnknownSetting, parse_level};
pub use writer::Guard;

use queue::Entrance;
use record::Record;
use settings::Style;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The writer thread could not be started.
    #[error("could not start the log's writer thread: {0}")]
    Thread(#[from] io::Error),
    /// A log is there already.
    #[error("the log is already set up")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up the log on standard error for the whole process, panics included.
///
/// Dropping the guard waits a bounded time until what was logged is written.
///
/// # Errors
///
/// When the writer thread cannot be started, or when there is a log already.
pub fn init(settings: Settings) -> Result<Guard, InitError> {
    let style = settings.style_for_stderr();
    let (subscriber, guard) = with_style(settings, style, writer::Stderr)?;
    tracing::subscriber::set_global_default(subscriber)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// A log that goes to `sink`, for tests; [`Format::Auto`] is text there, and [`Color::Auto`] has none.
///
/// # Errors
///
/// When the writer thread cannot be started.
pub fn to_sink<W>(settings: Settings, sink: W) -> io::Result<(impl Subscriber + Send + Sync, Guard)>
where
    W: Write + Send + 'static,
{
    with_style(settings, settings.style_for_sink(), sink)
}

fn with_style<W>(
    settings: Settings,
    style: Style,
    sink: W,
) -> io::Result<(impl Subscriber + Send + Sync, Guard)>
where
    W: Write + Send + 'static,
{
    let (entrance, exit) = queue::bounded();
    writer::spawn(exit, style, sink)?;
    let guard = Guard::new(entrance.clone());
    let subscriber = tracing_subscriber::registry().with(Front { entrance }).with(settings.level);
    Ok((subscriber, guard))
}

/// Where events leave `tracing`.
struct Front {
    entrance: Entrance,
}

impl<S: Subscriber> Layer<S> for Front {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.entrance.push(Record::of(event));
    }
}

/// A panic is an event like any other: printed directly it could wait for a terminal that nobody reads.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let what = info.payload_as_str().unwrap_or("no text");
    tracing::error!(event = "thread_panicked", place, thread, "panic: {what}");
}

#[cfg(test)]
mod tests;
