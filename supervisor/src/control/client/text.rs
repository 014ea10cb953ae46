//! Pieces of text for a person: foreign text made harmless, colours, and short quantities.

use crate::terminal::is_control;

/// Foreign text without characters that control a terminal. Tabs and line ends become visible as
/// well.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_control(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Foreign text of several lines, each of them indented.
pub(super) fn block(text: &str) -> String {
    let lines = text.trim_end().lines();
    lines.map(|line| format!("    {}\n", clean(&line.replace('\t', "    ")))).collect()
}

/// Colours that a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// Text in a colour, where colours are wanted.
pub(super) fn painted(text: &str, paint: Paint, color: bool) -> String {
    let code = match paint {
        Paint::Plain => return text.to_owned(),
        _ if !color => return text.to_owned(),
        Paint::Bold => 1,
        Paint::Dim => 2,
        Paint::Red => 31,
        Paint::Green => 32,
        Paint::Yellow => 33,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A channel's value: at least one digit after the point, and as many as it takes up to six.
pub(super) fn value(value: f64) -> String {
    let fixed = format!("{value:.6}");
    let short = fixed.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

/// Text that is less important.
pub(super) fn dimmed(text: &str, color: bool) -> String {
    painted(text, Paint::Dim, color)
}

/// A duration in its two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d {}h", hours % 24),
        () if hours > 0 => format!("{hours}h {}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m {}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

/// An amount of memory.
pub(super) fn bytes(count: u64) -> String {
    const KIB: f64 = 1024.0;
    let mut amount = count as f64;
    for unit in ["B", "K", "M"] {
        if amount < 1000.0 {
            return if unit == "B" { format!("{count}B") } else { format!("{amount:.1}{unit}") };
        }
        amount /= KIB;
    }
    format!("{amount:.1}G")
}

/// A time in microseconds, in the unit that suits it.
pub(super) fn microseconds(time: f64) -> String {
    match time {
        _ if !time.is_finite() || time < 0.0 => "-".into(),
        _ if time < 10.0 => format!("{time:.1}us"),
        _ if time < 1e3 => format!("{time:.0}us"),
        _ if time < 1e4 => format!("{:.1}ms", time / 1e3),
        _ if time < 1e6 => format!("{:.0}ms", time / 1e3),
        _ => format!("{:.1}s", time / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\r\u{9b}\u{202e}"), "a\\u{1b}[2Jb\\r\\u{9b}\\u{202e}");
        assert_eq!(clean("grüße 日本"), "grüße 日本");
        assert_eq!(block("one\n\ttwo\x07\n"), "    one\n        two\\u{7}\n");
    }

    #[test]
    fn quantities_are_short() {
        let times = [5, 65, 3_700, 90_061].map(duration);
        assert_eq!(times, ["5s", "1m 5s", "1h 1m", "1d 1h"]);
        let sizes = [0, 999, 8_400_000, 5_000_000_000].map(bytes);
        assert_eq!(sizes, ["0B", "999B", "8.0M", "4.7G"]);
        let times = [0.4, 57.2, 1_234.0, 45_678.0, 5e6, f64::NAN].map(microseconds);
        assert_eq!(times, ["0.4us", "57us", "1.2ms", "46ms", "5.0s", "-"]);
    }
}
