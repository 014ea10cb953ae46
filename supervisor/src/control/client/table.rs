//! `status` for a person: a line about the show, a table of its instances, and details of those
//! that do not run.

use super::super::protocol::{InstanceState, InstanceStatus, LastExit, ShowStatus};
use super::text::{Paint, block, bytes, clean, duration, microseconds, painted};
use super::universes;
use jiff::Timestamp;
use std::fmt::Write as _;

/// A cell that does not apply.
const NOTHING: &str = "-";

/// A column of the table.
struct Column {
    title: &'static str,
    side: Alignment,
    /// Where the terminal is too narrow, the columns with the highest numbers are left out first;
    /// those with 0 stay.
    spare: u8,
}

const fn column(title: &'static str, side: Alignment, spare: u8) -> Column {
    Column { title, side, spare }
}

const COLUMNS: [Column; 13] = [
    column("INSTANCE", Alignment::Left, 0),
    column("BACKEND", Alignment::Left, 3),
    column("STATE", Alignment::Left, 0),
    column("PID", Alignment::Right, 5),
    column("UP", Alignment::Right, 2),
    column("RESTARTS", Alignment::Right, 1),
    column("IN", Alignment::Right, 0),
    column("OUT", Alignment::Right, 0),
    column("ERRORS", Alignment::Right, 0),
    column("QUEUE", Alignment::Right, 0),
    column("MEMORY", Alignment::Right, 4),
    column("HANDLER p50/p99/max", Alignment::Left, 6),
    column("LAST EXIT", Alignment::Left, LAST_EXIT),
];

/// How soon the column of the last exit is left out: first of all, since its text may be long. It
/// is below the table then.
const LAST_EXIT: u8 = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alignment {
    Left,
    Right,
}

struct Cell {
    text: String,
    paint: Paint,
}

/// How the table is to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub color: bool,
    /// The width of the terminal, where there is one.
    pub width: Option<usize>,
}

/// The status as text.
pub(super) fn render(status: &ShowStatus, now: Timestamp, layout: Layout) -> String {
    let mut out = summary(status, layout.color);
    if !status.instances.is_empty() {
        out.push('\n');
        out.push_str(&instances(status, now, layout));
    }
    out
}

/// The table of the instances, and details of those that do not run as they should.
pub(super) fn instances(status: &ShowStatus, now: Timestamp, layout: Layout) -> String {
    let rows: Vec<_> = status.instances.iter().map(|instance| cells(instance, now)).collect();
    let mut out = String::new();
    let has_exits = table(&mut out, &rows, layout);
    let mut below = String::new();
    for instance in &status.instances {
        remarks(&mut below, instance, now, has_exits, layout.color);
    }
    if !below.is_empty() {
        let _ = write!(out, "\n{below}");
    }
    for instance in &status.instances {
        details(&mut out, instance, layout.color);
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

fn cells(instance: &InstanceStatus, now: Timestamp) -> [Cell; COLUMNS.len()] {
    let exit = instance.last_exit.as_ref().map(|exit| last_exit(exit, now));
    let handler =
        instance.handler_us.map(|times| [times.p50, times.p99, times.max].map(microseconds).join("/"));
    [
        plain(clean(&instance.name)),
        plain(clean(&instance.backend)),
        Cell { text: word(instance.state).into(), paint: paint(instance.state) },
        number(instance.pid),
        plain(instance.uptime_s.map_or(NOTHING.into(), duration)),
        restarts(instance),
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

/// How often it was started again after a fault, and how often because it was asked for.
fn restarts(instance: &InstanceStatus) -> Cell {
    let Some(all) = instance.restarts else { return plain(NOTHING.into()) };
    // A show of an older version does not tell them apart.
    let Some(faults) = instance.restarts_by_fault else { return plain(all.to_string()) };
    let counted = |count: u64| if count == 1 { "1 fault".to_owned() } else { format!("{count} faults") };
    let text = match (faults, all.saturating_sub(faults)) {
        (0, 0) => "0".to_owned(),
        (0, asked) => format!("{asked} asked"),
        (faults, 0) => counted(faults),
        (faults, asked) => format!("{}, {asked} asked", counted(faults)),
    };
    alarming(text, faults > 0)
}

/// How many events wait, and how many were replaced by later ones of their channel while they did.
fn queue(instance: &InstanceStatus) -> Cell {
    let waiting = instance.queued.map_or(NOTHING.into(), |queued| queued.to_string());
    match instance.conflated {
        Some(conflated) if conflated > 0 => alarming(format!("{waiting}, {conflated} merged"), true),
        _ => plain(waiting),
    }
}

fn last_exit(exit: &LastExit, now: Timestamp) -> String {
    format!("{}{}", clean(&exit.reason), ago(&exit.at, now))
}

/// `, 3s ago`; nothing if the time cannot be read.
fn ago(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else { return String::new() };
    let ago = u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0);
    format!(", {} ago", duration(ago))
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

/// Writes the table, with the columns that fit. Returns whether the last exits are among them.
fn table(out: &mut String, rows: &[[Cell; COLUMNS.len()]], layout: Layout) -> bool {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].text.chars().count());
        cells.chain([COLUMNS[column].title.len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let limit = fitting(&widths, layout.width);
    let head = COLUMNS.map(|column| Cell { text: column.title.into(), paint: Paint::Dim });
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        let shown = row.iter().zip(&widths).zip(&COLUMNS).filter(|(_, column)| column.spare <= limit);
        for ((cell, width), column) in shown {
            let space = " ".repeat(width - cell.text.chars().count());
            let text = painted(&cell.text, cell.paint, layout.color);
            // writing to a String cannot fail
            let _ = match column.side {
                Alignment::Left => write!(line, "{text}{space}  "),
                Alignment::Right => write!(line, "{space}{text}  "),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    limit >= LAST_EXIT
}

/// The highest number of the columns that fit side by side.
fn fitting(widths: &[usize], terminal: Option<usize>) -> u8 {
    let Some(terminal) = terminal else { return LAST_EXIT };
    let total = |limit: u8| -> usize {
        let shown = widths.iter().zip(&COLUMNS).filter(|(_, column)| column.spare <= limit);
        shown.map(|(width, _)| width + 2).sum::<usize>().saturating_sub(2)
    };
    (0..=LAST_EXIT).rev().find(|limit| total(*limit) <= terminal).unwrap_or(0)
}

/// What the table has no room for: the last error, and the last exit unless it `has_exits`.
fn remarks(out: &mut String, instance: &InstanceStatus, now: Timestamp, has_exits: bool, color: bool) {
    let name = painted(&clean(&instance.name), Paint::Bold, color);
    if let Some(error) = &instance.last_error {
        let _ = writeln!(out, "{name}: last error: {}{}", clean(&error.text), ago(&error.at, now));
    }
    // That of an instance that does not run is among its details.
    let is_told = has_exits || !(is_fine(instance.state) || instance.state == InstanceState::Stopped);
    if let Some(exit) = instance.last_exit.as_ref().filter(|_| !is_told) {
        let _ = writeln!(out, "{name}: last exit: {}", last_exit(exit, now));
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
