//! `status` for a person: a line about the show, a table of its instances, and details of those
//! that do not run.

use super::super::protocol::{InstanceState, InstanceStatus, LastExit, ShowStatus};
use super::text::{Paint, block, bytes, clean, duration, microseconds, painted};
use super::universes;
use jiff::Timestamp;
use std::fmt::Write as _;

/// A cell that does not apply.
const NOTHING: &str = "-";

const HEAD: [(&str, Alignment); 13] = [
    ("INSTANCE", Alignment::Left),
    ("BACKEND", Alignment::Left),
    ("STATE", Alignment::Left),
    ("PID", Alignment::Right),
    ("UP", Alignment::Right),
    ("RESTARTS", Alignment::Right),
    ("IN", Alignment::Right),
    ("OUT", Alignment::Right),
    ("ERRORS", Alignment::Right),
    ("QUEUE", Alignment::Right),
    ("MEMORY", Alignment::Right),
    ("HANDLER p50/p99/max", Alignment::Left),
    ("LAST EXIT", Alignment::Left),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alignment {
    Left,
    Right,
}

struct Cell {
    text: String,
    paint: Paint,
}

/// The status as text.
pub(super) fn render(status: &ShowStatus, now: Timestamp, color: bool) -> String {
    let mut out = summary(status, color);
    if !status.instances.is_empty() {
        out.push('\n');
        out.push_str(&instances(status, now, color));
    }
    out
}

/// The table of the instances, and details of those that do not run as they should.
pub(super) fn instances(status: &ShowStatus, now: Timestamp, color: bool) -> String {
    let rows: Vec<_> = status.instances.iter().map(|instance| cells(instance, now)).collect();
    let mut out = String::new();
    table(&mut out, &rows, color);
    for instance in &status.instances {
        details(&mut out, instance, color);
    }
    out
}

fn summary(status: &ShowStatus, color: bool) -> String {
    let all = status.instances.len();
    let running = status.instances.iter().filter(|instance| is_fine(instance.state)).count();
    let name = painted(&clean(&status.show), Paint::Bold, color);
    let mut out = format!(
        "show {name}, pid {}, up {}, {running} of {all} instances running\n",
        status.pid,
        duration(status.uptime_s)
    );
    if let Some(reason) = &status.last_good {
        let text = format!("the last good show runs, not the show file: {}", clean(reason));
        let _ = writeln!(out, "{}", painted(&text, Paint::Yellow, color));
    }
    out
}

fn is_fine(state: InstanceState) -> bool {
    matches!(state, InstanceState::Running | InstanceState::Reloading)
}

fn cells(instance: &InstanceStatus, now: Timestamp) -> [Cell; HEAD.len()] {
    let exit = instance.last_exit.as_ref().map(|exit| last_exit(exit, now));
    let handler =
        instance.handler_us.map(|times| [times.p50, times.p99, times.max].map(microseconds).join("/"));
    [
        plain(clean(&instance.name)),
        plain(clean(&instance.backend)),
        Cell { text: word(instance.state).into(), paint: paint(instance.state) },
        number(instance.pid),
        plain(instance.uptime_s.map_or(NOTHING.into(), duration)),
        number(instance.restarts),
        number(Some(instance.events_in)),
        number(Some(instance.events_out)),
        alarming(instance.errors.to_string(), instance.errors > 0),
        queue(instance),
        plain(instance.rss_bytes.map_or(NOTHING.into(), bytes)),
        plain(handler.unwrap_or_else(|| NOTHING.into())),
        plain(exit.unwrap_or_else(|| NOTHING.into())),
    ]
}

fn plain(text: String) -> Cell {
    Cell { text, paint: Paint::Plain }
}

fn number(value: Option<impl ToString>) -> Cell {
    plain(value.map_or(NOTHING.into(), |value| value.to_string()))
}

fn alarming(text: String, alarm: bool) -> Cell {
    Cell { text, paint: if alarm { Paint::Yellow } else { Paint::Plain } }
}

/// How many events wait, and how many that waited were lost.
fn queue(instance: &InstanceStatus) -> Cell {
    let waiting = instance.queued.map_or(NOTHING.into(), |queued| queued.to_string());
    match instance.conflated {
        Some(conflated) if conflated > 0 => alarming(format!("{waiting} (-{conflated})"), true),
        _ => plain(waiting),
    }
}

fn last_exit(exit: &LastExit, now: Timestamp) -> String {
    let reason = clean(&exit.reason);
    let Ok(at) = exit.at.parse::<Timestamp>() else { return reason };
    let ago = u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
    format!("{reason}, {} ago", duration(ago))
}

fn word(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Starting => "starting",
        InstanceState::Running => "running",
        InstanceState::Reloading => "reloading",
        InstanceState::Stopping => "stopping",
        InstanceState::Stopped => "stopped",
        InstanceState::Backoff => "backoff",
        InstanceState::Failed => "failed",
    }
}

fn paint(state: InstanceState) -> Paint {
    match state {
        InstanceState::Running => Paint::Green,
        InstanceState::Starting
        | InstanceState::Reloading
        | InstanceState::Stopping
        | InstanceState::Backoff => Paint::Yellow,
        InstanceState::Failed => Paint::Red,
        InstanceState::Stopped => Paint::Dim,
    }
}

fn table(out: &mut String, rows: &[[Cell; HEAD.len()]], color: bool) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([HEAD[column].0.len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let head = HEAD.map(|(title, _)| Cell { text: title.into(), paint: Paint::Dim });
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, side)) in row.iter().zip(&widths).zip(HEAD) {
            let space = " ".repeat(width - cell.text.chars().count());
            let text = painted(&cell.text, cell.paint, color);
            // writing to a String cannot fail
            let _ = match side {
                Alignment::Left => write!(line, "{text}{space}  "),
                Alignment::Right => write!(line, "{space}{text}  "),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Details of an instance that does not run as it should.
fn details(out: &mut String, instance: &InstanceStatus, color: bool) {
    let name = painted(&clean(&instance.name), Paint::Bold, color);
    if let Some(note) = &instance.note {
        let _ = writeln!(out, "\n{name}: {}", clean(note));
    }
    for loss in universes::losses(&instance.universes) {
        let _ = writeln!(out, "\n{name}: {loss}");
    }
    if is_fine(instance.state) || instance.state == InstanceState::Stopped {
        return;
    }
    let Some(exit) = &instance.last_exit else { return };
    let next = instance
        .next_start_ms
        .map_or(String::new(), |left| format!(", next start in {}", microseconds(left as f64 * 1e3)));
    let _ = writeln!(out, "\n{name} is in state {}{next}: {}", word(instance.state), clean(&exit.reason));
    // the traceback is the end of what was printed, if there is one
    let last_words = exit.traceback.as_deref().or(exit.stderr_tail.as_deref());
    out.push_str(&last_words.map(block).unwrap_or_default());
}

#[cfg(test)]
mod tests;
