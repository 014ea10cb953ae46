//! Makes foreign text harmless: what a script prints or a packet holds must not steer the operator's terminal.

use std::fmt::Write as _;

/// Appends `text` to `out`, with every character that steers a terminal written out as an escape.
///
/// A tab stays, it does no harm. A line feed is escaped as well: who wants lines splits before.
pub(super) fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(steers) {
        out.push_str(&rest[..at]);
        let mut tail = rest[at..].chars();
        if let Some(character) = tail.next() {
            spell(out, character);
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
}

/// Whether a character acts on a terminal instead of being shown: controls of both sets, and those that turn the
/// direction of the text around and so can make a line read as another.
pub(super) fn steers(character: char) -> bool {
    (character.is_control() && character != '\t')
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
    use super::escape;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        escape(&mut out, text);
        out
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
