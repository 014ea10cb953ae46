//! `status INSTANCE` and `get` for a person: the last values of channels, mappings, the end of the
//! log.

use super::super::protocol::{ChannelDetail, ChannelValues, InstanceDetail, LastValue, ShowStatus};
use super::table::{self, Layout};
use super::text::{Paint, clean, duration, painted, value};
use super::universes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt::Write as _;

/// How many lines of the log are shown; `--json` has all that are kept.
const LOG_LINES: usize = 20;

/// One instance: its row of the table, its channels and its last lines of the log.
pub(super) fn render(detail: &InstanceDetail, now: Timestamp, layout: Layout) -> String {
    let color = layout.color;
    let alone = ShowStatus { instances: vec![detail.instance.clone()], ..ShowStatus::default() };
    let mut out = table::instances(&alone, now, layout);
    universes::render(&mut out, &detail.instance.universes, &detail.instance.peers, color);
    if !detail.channels.is_empty() {
        out.push('\n');
        channels(&mut out, detail, color);
    }
    if let Some(error) = detail.log.iter().rev().find(|line| line.is_error()) {
        let _ = writeln!(out, "\n{}: {}", painted("last error", Paint::Red, color), clean(&error.message));
    }
    if !detail.log.is_empty() {
        let _ = writeln!(out, "\n{}", painted("last lines of the log", Paint::Bold, color));
    }
    for line in &detail.log[detail.log.len().saturating_sub(LOG_LINES)..] {
        let level = painted(&format!("{:<5}", line.level), level_paint(&line.level), color);
        // writing to a String cannot fail
        let _ = writeln!(out, "{} {level} {}", time(&line.at), clean(&line.message));
    }
    out
}

/// Channels with their values, one per line.
pub(super) fn values(values: &[ChannelValues]) -> String {
    let rows: Vec<[String; 3]> = values.iter().map(row).collect();
    let mut out = String::new();
    aligned(&mut out, &rows);
    out
}

fn channels(out: &mut String, detail: &InstanceDetail, color: bool) {
    let head = ["CHANNEL".to_owned(), "IN".to_owned(), "OUT".to_owned(), "MAPPINGS".to_owned()];
    let rows = detail.channels.iter().map(|channel| {
        let [name, coming_in, going_out] = row(&channel.values);
        [name, coming_in, going_out, mappings(channel)]
    });
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(rows).collect();
    let start = out.len();
    aligned(out, &rows);
    if color && let Some(end) = out[start..].find('\n') {
        let head = painted(&out[start..start + end], Paint::Dim, color);
        out.replace_range(start..start + end, &head);
    }
    if detail.channels_left_out > 0 {
        let _ = writeln!(out, "and {} more channels", detail.channels_left_out);
    }
}

fn row(values: &ChannelValues) -> [String; 3] {
    [clean(&values.channel), last(values.coming_in), last(values.going_out)]
}

fn mappings(channel: &ChannelDetail) -> String {
    let from = channel.from.iter().map(|name| format!("< {}", clean(name)));
    let to = channel.to.iter().map(|name| format!("> {}", clean(name)));
    let all: Vec<String> = from.chain(to).collect();
    match all.len() {
        0..=3 => all.join(", "),
        count => format!("{}, and {} more", all[..2].join(", "), count - 2),
    }
}

/// `0.5 (12, 3s ago)`: the value, how many there were, and when.
fn last(last: Option<LastValue>) -> String {
    let Some(last) = last else { return "-".to_owned() };
    match last.ago_ms {
        Some(ago) => format!("{} ({}x, {} ago)", value(last.value), last.count, duration(ago / 1000)),
        None => format!("{} (kept)", value(last.value)),
    }
}

fn time(at: &str) -> String {
    let at = at.parse::<Timestamp>().unwrap_or_default().to_zoned(TimeZone::system());
    at.strftime("%H:%M:%S%.3f").to_string()
}

fn level_paint(level: &str) -> Paint {
    match level {
        "error" => Paint::Red,
        "warn" => Paint::Yellow,
        _ => Paint::Plain,
    }
}

/// Writes rows whose columns align; the last column is as wide as it is.
pub(super) fn aligned<const N: usize>(out: &mut String, rows: &[[String; N]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell}{}  ", " ".repeat(width - cell.chars().count()));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::protocol::InstanceStatus;
    use crate::log::RememberedLine;

    fn fader() -> ChannelValues {
        ChannelValues {
            channel: "desk./fader".into(),
            coming_in: Some(LastValue { value: 0.5, count: 12, ago_ms: Some(3_200) }),
            going_out: None,
        }
    }

    #[test]
    fn values_are_lines_that_align() {
        let lamp = ChannelValues {
            channel: "desk./lamp/1".into(),
            coming_in: None,
            going_out: Some(LastValue { value: 0.25, count: 0, ago_ms: None }),
        };
        insta::assert_snapshot!(values(&[fader(), lamp]), @r"
        desk./fader   0.5 (12x, 3s ago)  -
        desk./lamp/1  -                  0.25 (kept)
        ");
    }

    #[test]
    fn an_instance_has_its_mappings_and_its_last_error() {
        let line = |level: &str, message: &str| RememberedLine {
            at: "2026-03-01T12:00:00Z".into(),
            level: level.into(),
            message: message.into(),
        };
        let detail = InstanceDetail {
            instance: InstanceStatus {
                name: "desk".into(),
                backend: "osc".into(),
                ..InstanceStatus::default()
            },
            channels: vec![ChannelDetail { values: fader(), from: vec![], to: vec!["room.m.f".into()] }],
            channels_left_out: 3,
            log: vec![line("error", "no\x1b answer"), line("info", "listening")],
        };
        let layout = Layout { color: false, width: None };
        let text = render(&detail, "2026-03-01T12:00:00Z".parse().unwrap(), layout);
        assert!(
            text.contains("desk./fader  0.5 (12x, 3s ago)  -    > room.m.f\nand 3 more channels\n"),
            "{text}"
        );
        assert!(text.contains("last error: no\\u{1b} answer\n"), "{text}");
        assert!(text.ends_with("info  listening\n"), "{text}");
    }
}
