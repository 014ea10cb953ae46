//! The level that a script gives a line: `<N>` in front of it, as systemd reads it (sd-daemon(3)).
//! The worker puts it in front of what the module `logging` writes; a script may do so itself.
//! Nothing but the level of that line depends on it.

use tracing::Level;

/// The level of a line and its text, without the prefix; `None` for a line without one.
pub(super) fn split(line: &[u8]) -> (Option<Level>, &[u8]) {
    match line {
        [b'<', digit @ b'0'..=b'7', b'>', text @ ..] => {
            let level = match digit {
                b'0'..=b'3' => Level::ERROR,
                b'4' => Level::WARN,
                b'5' | b'6' => Level::INFO,
                _ => Level::DEBUG,
            };
            (Some(level), text)
        }
        text => (None, text),
    }
}

/// The text without the prefixes of its lines.
pub(super) fn strip_all(text: &str) -> String {
    let strip = |line: &str| split(line.as_bytes()).0.map_or(0, |_| 3);
    text.split_inclusive('\n').map(|line| &line[strip(line)..]).collect()
}

#[cfg(test)]
mod tests {
    use super::{split, strip_all};
    use tracing::Level;

    #[test]
    fn a_prefix_is_the_level_of_its_line() {
        assert_eq!(split(b"<3>no lamp"), (Some(Level::ERROR), b"no lamp".as_slice()));
        assert_eq!(split(b"<4>"), (Some(Level::WARN), b"".as_slice()));
        assert_eq!(split(b"<6><3>x"), (Some(Level::INFO), b"<3>x".as_slice()));
        assert_eq!(split(b"<7>x"), (Some(Level::DEBUG), b"x".as_slice()));
    }

    #[test]
    fn what_only_looks_like_one_is_text() {
        for line in [b"<8>x".as_slice(), b"<33>x", b"<b>x", b" <3>x", b"<3", b""] {
            assert_eq!(split(line), (None, line));
        }
    }

    #[test]
    fn all_lines_of_a_text_lose_it() {
        assert_eq!(strip_all("<3>ä\n<4>two\nthree\n<6>"), "ä\ntwo\nthree\n");
    }
}
