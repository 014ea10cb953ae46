//! Addresses and address patterns as a show file writes them.
//!
//! A pattern may contain `?` (one character), `*` (any number of them), `[a-z]`, `[!x]` and
//! `{a,b}`; none of them matches a `/`. Matching keeps the set of positions that the pattern may
//! have reached, so that its time is at most the product of both lengths, for every pattern.

use std::ops::Range;

/// What is wrong with an address or pattern, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct OscAddressError {
    /// The part that is wrong, in bytes of the text.
    pub range: Range<usize>,
    pub message: String,
}

/// A checked pattern.
#[derive(Debug)]
pub struct OscPattern {
    /// The beginning of every match.
    literal: String,
    /// The rest.
    pieces: Vec<PatternPiece>,
    text: String,
    /// Where each of the pieces begins in the text.
    starts: Vec<usize>,
}

#[derive(Debug)]
enum PatternPiece {
    Char(char),
    AnyChar,
    AnyRun,
    Set { negated: bool, ranges: Vec<(char, char)> },
    OneOf(Vec<String>),
}

const PATTERN_CHARACTERS: &[char] = &['?', '*', '[', ']', '{', '}'];

/// Checks an address without pattern characters: the path of a channel, or a root.
pub fn check_address(text: &str) -> Result<(), OscAddressError> {
    check_characters(text)?;
    match text.char_indices().find(|(_, character)| PATTERN_CHARACTERS.contains(character)) {
        Some((at, character)) => Err(error_at(at..at + 1, format!("`{character}` belongs in patterns only"))),
        None => Ok(()),
    }
}

/// Why an address from the network, without its root, cannot be written as the path of a channel.
pub fn unmappable(address: &str) -> Option<String> {
    if let Err(error) = check_address(address) {
        let part = address.get(error.range).unwrap_or_default().escape_debug();
        return Some(format!("of `{part}`: {}", error.message));
    }
    let is_split = address.contains(['<', '>']) && address.contains(' ');
    is_split.then(|| "of an operator beside a blank".to_owned())
}

impl OscPattern {
    pub fn parse(text: &str) -> Result<Self, OscAddressError> {
        check_characters(text)?;
        let mut rest = text;
        let (mut pieces, mut starts) = (Vec::new(), Vec::new());
        while let Some(character) = rest.chars().next() {
            let at = text.len() - rest.len();
            let (piece, length) = match character {
                '?' => (PatternPiece::AnyChar, 1),
                '*' => (PatternPiece::AnyRun, 1),
                '[' => set(rest, at)?,
                '{' => one_of(rest, at)?,
                ']' | '}' => {
                    return Err(error_at(at..at + 1, format!("`{character}` has no opening bracket")));
                }
                _ => (PatternPiece::Char(character), character.len_utf8()),
            };
            pieces.push(piece);
            starts.push(at);
            rest = &rest[length..];
        }
        let plain =
            pieces.iter().map_while(|piece| if let PatternPiece::Char(c) = piece { Some(*c) } else { None });
        let literal: String = plain.collect();
        let plain = literal.chars().count();
        let (pieces, starts) = (pieces.split_off(plain), starts.split_off(plain));
        Ok(Self { literal, pieces, text: text.to_owned(), starts })
    }

    /// Whether all of `path` matches.
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(self.literal.as_str()) else { return false };
        if self.pieces.is_empty() {
            return rest.is_empty();
        }
        let mut reached = positions(rest);
        for piece in &self.pieces {
            reached = piece.advance(rest, &reached);
        }
        reached[rest.len()]
    }

    /// If `path` ends before the pattern does, and matches as far as it goes: that part of the
    /// pattern. The reference takes it for a match.
    pub fn beginning(&self, path: &str) -> Option<&str> {
        let Some(rest) = path.strip_prefix(self.literal.as_str()) else {
            return self.literal.starts_with(path).then(|| &self.literal[..path.len()]);
        };
        let mut reached = positions(rest);
        for (piece, start) in self.pieces.iter().zip(&self.starts) {
            if reached[rest.len()] {
                return self.text.get(..*start);
            }
            reached = piece.advance(rest, &reached);
        }
        None
    }
}

/// The positions in `rest` that the pieces may have reached before the first of them: one flag for
/// each byte, and one for the end.
fn positions(rest: &str) -> Vec<bool> {
    let mut reached = vec![false; rest.len() + 1];
    reached[0] = true;
    reached
}

impl PatternPiece {
    /// The positions that can be reached when this piece starts at any of `from`.
    fn advance(&self, path: &str, from: &[bool]) -> Vec<bool> {
        let mut to = vec![false; from.len()];
        if let Self::AnyRun = self {
            let mut running = false;
            for (at, character) in path.char_indices().chain([(path.len(), '/')]) {
                running |= from[at];
                to[at] = running;
                running &= character != '/';
            }
            return to;
        }
        for (at, character) in path.char_indices().filter(|(at, _)| from[*at]) {
            match self {
                Self::OneOf(words) => {
                    let fits = words.iter().filter(|word| path[at..].starts_with(word.as_str()));
                    fits.for_each(|word| to[at + word.len()] = true);
                }
                _ => to[at + character.len_utf8()] |= self.takes(character),
            }
        }
        if let Self::OneOf(words) = self {
            to[path.len()] |= from[path.len()] && words.iter().any(String::is_empty);
        }
        to
    }

    /// Whether a piece that stands for one character stands for this one.
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Char(own) => *own == character,
            Self::AnyChar => character != '/',
            Self::Set { negated, ranges } => {
                let inside = ranges.iter().any(|(first, last)| (*first..=*last).contains(&character));
                character != '/' && inside != *negated
            }
            Self::AnyRun | Self::OneOf(_) => false,
        }
    }
}

fn error_at(range: Range<usize>, message: impl Into<String>) -> OscAddressError {
    OscAddressError { range, message: message.into() }
}

/// What looks like a comment behind a name: the show file has none there.
const COMMENTS: [&str; 3] = [" ;", " #", " //"];

/// Blanks and commas are not legal in OSC 1.0, but senders use them.
fn check_characters(text: &str) -> Result<(), OscAddressError> {
    if !text.starts_with('/') {
        return Err(error_at(0..text.len(), "an OSC address begins with `/`"));
    }
    if let Some(at) = COMMENTS.iter().filter_map(|comment| text.find(comment)).min() {
        return Err(error_at(at + 1..text.len(), "a comment needs a line of its own"));
    }
    let illegal = |character: char| match character {
        ' ' => false,
        '#' => true,
        _ => character.is_whitespace() || character.is_control(),
    };
    match text.char_indices().find(|(_, character)| illegal(*character)) {
        Some((at, character)) => {
            let message = format!("`{}` cannot stand in an OSC address", character.escape_debug());
            Err(error_at(at..at + character.len_utf8(), message))
        }
        None => Ok(()),
    }
}

/// The text between the bracket that `rest` begins with and the one that closes it.
fn bracketed(rest: &str, at: usize, close: char) -> Result<&str, OscAddressError> {
    let inner = rest.get(1..).and_then(|inner| inner.split_once(close)).map(|(inner, _)| inner);
    let Some(inner) = inner else {
        return Err(error_at(at..at + rest.len(), format!("`{close}` is missing")));
    };
    let foreign = ['/', '[', ']', '{', '}', '?', '*'];
    match inner.char_indices().find(|(_, character)| foreign.contains(character)) {
        Some((inside, character)) => {
            let start = at + 1 + inside;
            Err(error_at(start..start + 1, format!("`{character}` cannot stand inside brackets")))
        }
        None => Ok(inner),
    }
}

fn set(rest: &str, at: usize) -> Result<(PatternPiece, usize), OscAddressError> {
    let inner = bracketed(rest, at, ']')?;
    let listed = inner.strip_prefix('!');
    let (negated, listed) = (listed.is_some(), listed.unwrap_or(inner));
    if listed.is_empty() {
        return Err(error_at(at..at + inner.len() + 2, "the brackets are empty"));
    }
    let mut characters = listed.chars().peekable();
    let mut ranges = Vec::new();
    while let Some(first) = characters.next() {
        let mut ahead = characters.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) => {
                ranges.push((first.min(last), first.max(last)));
                characters = ahead;
            }
            _ => ranges.push((first, first)),
        }
    }
    Ok((PatternPiece::Set { negated, ranges }, inner.len() + 2))
}

fn one_of(rest: &str, at: usize) -> Result<(PatternPiece, usize), OscAddressError> {
    let inner = bracketed(rest, at, '}')?;
    let words = inner.split(',').map(str::to_string).collect();
    Ok((PatternPiece::OneOf(words), inner.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        OscPattern::parse(pattern).expect("the pattern is well-formed").matches(path)
    }

    #[test]
    fn a_pattern_without_wildcards_matches_itself_only() {
        assert!(matches("/a/b", "/a/b"));
        assert!(!matches("/a/b", "/a/bc") && !matches("/a/b", "/a") && !matches("/a/b", "/a/c"));
    }

    #[test]
    fn a_star_matches_any_run_of_characters_but_never_a_slash() {
        assert!(matches("/fader*", "/fader") && matches("/fader*", "/fader12"));
        assert!(matches("/*/x*y", "/page/xaay") && matches("/a*b*c", "/aXbbYbc"));
        assert!(!matches("/*", "/a/b") && !matches("/fader*", "/fade"));
    }

    #[test]
    fn a_question_mark_matches_one_character_but_never_a_slash() {
        assert!(matches("/a?c", "/abc") && matches("/?", "/ä"));
        assert!(!matches("/a?c", "/ac") && !matches("/a?c", "/a/c") && !matches("/a?", "/a"));
    }

    #[test]
    fn brackets_match_one_of_their_characters_or_with_a_mark_one_of_all_others() {
        assert!(matches("/[a-c]", "/b") && matches("/[c-a]", "/b") && matches("/[xa-]", "/-"));
        assert!(!matches("/[a-c]", "/d") && !matches("/[a-c]", "/") && !matches("/[a-c]", "/ab"));
        assert!(matches("/[!x]", "/y") && !matches("/[!x]", "/x") && !matches("/a[!x]b", "/a/b"));
    }

    #[test]
    fn braces_match_one_of_their_words_also_the_shorter_one_of_two() {
        assert!(
            matches("/{red,green}/v", "/green/v")
                && matches("/{a,ab}b", "/ab")
                && matches("/{a,ab}b", "/abb")
        );
        assert!(matches("/*{1,2}", "/ch1x2") && matches("/a{,b}", "/a") && matches("/a{,b}", "/ab"));
        assert!(!matches("/{red,green}", "/blue") && !matches("/{a,b}", "/ab"));
    }

    #[test]
    fn the_beginning_of_a_pattern_matches_a_path_that_ends_before_it() {
        let beginning = |pattern, path| {
            OscPattern::parse(pattern).expect("it is right").beginning(path).map(str::to_owned)
        };
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(beginning("/ch/*/dyn/thr/f", "/ch/01/dyn/thr"), found("/ch/*/dyn/thr"));
        assert_eq!(beginning("/fader/volume", "/fader"), found("/fader"));
        assert_eq!(beginning("/[1-9]{a,b}/x", "/5b"), found("/[1-9]{a,b}"));
        assert_eq!(beginning("/ch/*/dyn/thr/f", "/ch/01/dyn/ratio"), None);
        assert_eq!(beginning("/ch/*", "/ch/01"), None);
        assert_eq!(beginning("/fader", "/fader/volume"), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let place = |text: &str| OscPattern::parse(text).expect_err(text).range;
        assert_eq!(place("a/b"), 0..3);
        assert_eq!(place("/a#"), 2..3);
        assert_eq!(place("/a[b"), 2..4);
        assert_eq!(place("/a{b/c}"), 4..5);
        assert_eq!(place("/a]"), 2..3);
        assert_eq!(place("/[]"), 1..3);
        assert_eq!(place("/[!]"), 1..4);
        assert_eq!(check_address("/a*").expect_err("a pattern is not an address").range, 2..3);
        assert_eq!(check_address("/a\tb").expect_err("no tabs").range, 2..3);
        assert_eq!(check_address("/a ; main light").expect_err("no comments").range, 3..15);
        assert_eq!(check_address("/Left Ear"), Ok(()));
        assert_eq!(check_address("/a,b"), Ok(()));
        assert_eq!(check_address("/1/fader:3"), Ok(()));
    }

    #[test]
    fn an_address_that_cannot_be_mapped_is_known_with_its_reason() {
        for address in ["/a/b", "/Left Ear", "/a,b", "/layer:one/x", "/a<b"] {
            assert_eq!(unmappable(address), None, "{address}");
        }
        for address in ["/a{b}", "/ch/*/level", "/a < b", "/a\u{1}", "no slash", "/a # b"] {
            assert!(unmappable(address).is_some(), "{address}");
        }
    }

    #[test]
    fn a_pattern_made_to_backtrack_takes_no_longer_than_others() {
        let pattern = format!("/{}", "*a".repeat(300));
        assert!(!matches(&pattern, &format!("/{}b", "a".repeat(3000))));
    }

    /// Backtracking as the definition reads, on the text of the pattern itself.
    fn naive(pattern: &[char], path: &[char]) -> bool {
        let Some(&first) = pattern.first() else { return path.is_empty() };
        let rest_after = |close: char| {
            let end = pattern.iter().position(|&c| c == close).expect("brackets are closed");
            (&pattern[1..end], &pattern[end + 1..])
        };
        match first {
            '*' => {
                naive(&pattern[1..], path)
                    || path.first().is_some_and(|&c| c != '/') && naive(pattern, &path[1..])
            }
            '[' => {
                let (inner, rest) = rest_after(']');
                let (negated, inner) = if inner[0] == '!' { (true, &inner[1..]) } else { (false, inner) };
                let inside = |c: char| match inner {
                    [a, '-', b] => (*a..=*b).contains(&c) || (*b..=*a).contains(&c),
                    _ => inner.contains(&c),
                };
                path.first().is_some_and(|&c| c != '/' && inside(c) != negated) && naive(rest, &path[1..])
            }
            '{' => {
                let (inner, rest) = rest_after('}');
                inner
                    .split(|&c| c == ',')
                    .any(|word| path.starts_with(word) && naive(rest, &path[word.len()..]))
            }
            '?' => path.first().is_some_and(|&c| c != '/') && naive(&pattern[1..], &path[1..]),
            _ => path.first() == Some(&first) && naive(&pattern[1..], &path[1..]),
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let fixed =
            ["/", "a", "b", "ab", "?", "*", "[ab]", "[!a]", "[a-b]", "[!b-c]", "{a,b}", "{ab,a,}", "{,ba}"];
        prop::sample::select(fixed.to_vec()).prop_map(str::to_string)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn matching_agrees_with_plain_backtracking(
            pieces in prop::collection::vec(piece(), 0..7),
            path in "/[abc/]{0,7}",
        ) {
            let pattern = format!("/{}", pieces.concat());
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&characters(&pattern), &characters(&path));
            prop_assert_eq!(matches(&pattern, &path), expected, "{} against {}", pattern, path);
        }

        #[test]
        fn any_text_is_parsed_or_refused_with_a_place_inside_it(text in "/?[\\[\\]{}!*?,/#a-c\u{e4} -]{0,12}") {
            match OscPattern::parse(&text) {
                Ok(pattern) => { pattern.matches(&text); }
                Err(error) => prop_assert!(text.get(error.range).is_some()),
            }
        }
    }
}
