//! Which channels a client monitors: `INSTANCE.CHANNEL` with `*` for any text, also none, and `?`
//! for one character. Without a dot it stands for all channels of the instances that it matches.
//!
//! OSC address patterns (`backends/osc/pattern.rs`) are another language: theirs do not cross a
//! `/`.

use super::name_index::ChannelName;
use super::protocol::ErrorReply;

/// The longest pattern, in bytes. Matching takes time in proportion.
const PATTERN_LIMIT: usize = 256;

/// A pattern for channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelPattern {
    text: String,
}

impl ChannelPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is too long.
    pub fn new(text: &str) -> Result<Self, ErrorReply> {
        if text.len() > PATTERN_LIMIT {
            return Err(ErrorReply::new(format!("a pattern has at most {PATTERN_LIMIT} bytes")));
        }
        Ok(Self { text: text.to_owned() })
    }

    /// Whether it stands for that channel.
    #[must_use]
    pub fn matches(&self, name: &ChannelName) -> bool {
        let full = format!("{}.{}", name.instance, name.channel);
        wild(&self.text, &full) || (!self.text.contains('.') && wild(&self.text, &name.instance))
    }

    /// The instance, if it can only be one.
    pub(super) fn only_instance(&self) -> Option<&str> {
        let instance = self.text.split_once('.').map_or(self.text.as_str(), |(instance, _)| instance);
        (!is_wild(instance)).then_some(instance)
    }

    /// The channel, if it can only be one.
    pub(super) fn only_channel(&self) -> Option<&str> {
        let (_, channel) = self.text.split_once('.')?;
        (!is_wild(channel)).then_some(channel)
    }
}

fn is_wild(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Whether `text` matches `pattern` as a whole.
fn wild(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut seen) = (0, 0);
    // the last `*`, and how much of the text is before what it stands for and that itself
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match (pattern.get(at), star) {
            (Some('*'), _) => {
                star = Some((at, seen));
                at += 1;
            }
            (Some(wanted), _) if *wanted == '?' || *wanted == text[seen] => {
                at += 1;
                seen += 1;
            }
            (_, Some((place, taken))) => {
                // it takes one character more
                star = Some((place, taken + 1));
                at = place + 1;
                seen = taken + 1;
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    fn matches(pattern: &str, instance: &str, channel: &str) -> bool {
        let name = ChannelName { instance: instance.into(), channel: channel.into() };
        ChannelPattern::new(pattern).unwrap().matches(&name)
    }

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        for pattern in
            ["desk./fader/1", "desk.*", "*", "*fader*", "d?sk./*/1", "*.*", "desk./fader/?", "d*k*1*"]
        {
            assert!(matches(pattern, "desk", "/fader/1"), "{pattern}");
        }
        for pattern in ["desk./fader/", "esk.*", "desk.", "d?esk.*", "desk./fader/1?", "*2", ""] {
            assert!(!matches(pattern, "desk", "/fader/1"), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_without_a_dot_stands_for_whole_instances() {
        assert!(matches("desk", "desk", "/fader"));
        assert!(matches("d?sk", "desk", "/fader"));
        assert!(!matches("des", "desk", "/fader"));
        assert!(!matches("desk.", "desk", "/fader"));
    }

    #[test]
    fn a_question_mark_is_one_character_whatever_its_bytes() {
        assert!(matches("a.?", "a", "ü"));
    }

    #[test]
    fn a_pattern_made_to_take_long_does_not() {
        let pattern = format!("{}b", "*a".repeat(120));
        assert!(!matches(&pattern, "a", &"a".repeat(10_000)));
    }

    #[test]
    fn a_pattern_that_is_too_long_is_refused() {
        assert!(ChannelPattern::new(&"*".repeat(257)).is_err());
    }

    /// The definition, as plainly as it goes.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                plainly(rest, text) || text.split_first().is_some_and(|(_, left)| plainly(pattern, left))
            }
            (Some(('?', rest)), Some((_, left))) => plainly(rest, left),
            (Some((wanted, rest)), Some((found, left))) => wanted == found && plainly(rest, left),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let (wanted, found): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            assert_eq!(wild(&pattern, &text), plainly(&wanted, &found));
        }
    }
}
