//! What may go to a terminal: whether colours are wanted, and foreign text made harmless.
//!
//! What a script prints or a packet holds must not control the operator's terminal.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Whether text on this stream has colours: on a terminal, unless `NO_COLOR` is set or the terminal
/// is a dumb one.
pub fn wants_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !refuses_color(env::var_os("NO_COLOR"), env::var_os("TERM"))
}

/// How many columns lines on this stream may have: those of the terminal, or as `COLUMNS` says.
/// `None`: as many as they need.
pub fn width(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let told = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let seen = || {
        let size = rustix::termios::tcgetwinsize(stream).ok().filter(|_| stream.is_terminal())?;
        Some(usize::from(size.ws_col))
    };
    told.or_else(seen).filter(|columns| *columns > 0)
}

fn refuses_color(no_color: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_some_and(|value| !value.is_empty()) || term.is_some_and(|value| value == "dumb")
}

/// Appends `text` to `out`, with every control character except the tab written out as an escape.
///
/// A line feed is escaped as well: a caller that wants lines splits the text before.
pub fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|character| character != '\t' && is_control(character)) {
        out.push_str(&rest[..at]);
        let mut tail = rest[at..].chars();
        if let Some(character) = tail.next() {
            spell(out, character);
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
}

/// Whether a character acts on a terminal instead of being shown: the controls C0 and C1 (ISO
/// 6429), and those that change the direction of the text (Unicode UAX #9) and so can make a line
/// read as another.
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn spell(out: &mut String, character: char) {
    let code = u32::from(character);
    // Writing to a String cannot fail.
    let _ = match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        _ if code < 0x80 => write!(out, "\\x{code:02x}"),
        _ => write!(out, "\\u{{{code:x}}}"),
    };
}

#[cfg(test)]
mod tests {
    use super::{escape, refuses_color};
    use std::ffi::OsString;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(&mut out, text);
        out
    }

    #[test]
    fn colours_can_be_refused_in_the_environment() {
        let value = |text: &str| Some(OsString::from(text));
        assert!(!refuses_color(None, value("xterm")) && !refuses_color(value(""), None));
        assert!(refuses_color(value("1"), value("xterm")) && refuses_color(None, value("dumb")));
    }

    #[test]
    fn terminal_escapes_are_written_out() {
        assert_eq!(escaped("a\x1b[2Jb\x07\x7f"), "a\\x1b[2Jb\\x07\\x7f");
        assert_eq!(escaped("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(escaped("one\rtwo\n"), "one\\rtwo\\n");
    }

    #[test]
    fn text_that_turns_around_is_written_out() {
        assert_eq!(escaped("x\u{202e}gpj.exe"), "x\\u{202e}gpj.exe");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let text = "grüße\t日本 🎛 \\x1b";
        assert_eq!(escaped(text), text);
    }
}
