//! Splits a stream of bytes into lines, in bounded memory.

use std::time::{Duration, Instant};

/// The most bytes of a line that are shown; the rest of it is left out.
pub(super) const LINE_LIMIT: usize = 8 * 1024;

/// A line without its end is shown when nothing has followed for this long: it may be a prompt.
const QUIET_TIMEOUT: Duration = Duration::from_millis(200);

/// A line without its end is shown after this long in any case.
const LINE_TIMEOUT: Duration = Duration::from_secs(1);

/// A line, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutputLine<'a> {
    pub(super) bytes: &'a [u8],
    /// There is more of it that is left out.
    pub(super) cut: bool,
}

/// Whether the receiver of lines takes more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// It takes the next one.
    More,
    /// It takes no more of this chunk: the rest is only counted.
    Full,
}

/// What was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LeftOut {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// Where in a line the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// In a line of which nothing has been shown.
    Line,
    /// In a line whose start was shown, because nothing followed.
    Shown,
    /// In a line that was cut; all up to its end is left out.
    Cut,
}

/// The lines of one stream.
#[derive(Debug)]
pub(super) struct LineSplitter {
    partial: Vec<u8>,
    position: Position,
    /// When the first and the last byte of `partial` came.
    since: Option<(Instant, Instant)>,
}

impl Default for LineSplitter {
    fn default() -> Self {
        Self { partial: Vec::new(), position: Position::Line, since: None }
    }
}

impl LineSplitter {
    /// Takes in a chunk and passes on the lines that end in it.
    pub(super) fn feed(
        &mut self,
        mut rest: &[u8],
        now: Instant,
        mut take: impl FnMut(OutputLine<'_>) -> Flow,
    ) -> LeftOut {
        let mut left_out = LeftOut::default();
        while !rest.is_empty() {
            if self.position == Position::Cut {
                rest = self.skip(rest, &mut left_out);
                continue;
            }
            let room = LINE_LIMIT - self.partial.len();
            let within = &rest[..rest.len().min(room + 1)];
            let flow = if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
                let flow = self.complete(&rest[..end], &mut take);
                rest = &rest[end + 1..];
                flow
            } else if rest.len() > room {
                self.partial.extend_from_slice(&rest[..room]);
                let flow = take(OutputLine { bytes: &self.partial, cut: true });
                self.forget(Position::Cut);
                rest = &rest[room..];
                flow
            } else {
                self.partial.extend_from_slice(rest);
                self.since = Some((self.since.map_or(now, |since| since.0), now));
                return left_out;
            };
            if flow == Flow::Full {
                rest = self.leave_lines(rest, &mut left_out);
            }
        }
        left_out
    }

    /// When [`LineSplitter::show`] is to be called if nothing comes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|(first, last)| (first + LINE_TIMEOUT).min(last + QUIET_TIMEOUT))
    }

    /// Passes on a line that has not ended.
    pub(super) fn show(&mut self, take: impl FnOnce(OutputLine<'_>) -> Flow) {
        if !self.partial.is_empty() {
            take(OutputLine { bytes: &self.partial, cut: false });
            self.forget(Position::Shown);
        }
    }

    fn complete(&mut self, end: &[u8], take: &mut impl FnMut(OutputLine<'_>) -> Flow) -> Flow {
        let flow = if self.partial.is_empty() {
            // The end of a line that was shown already is not a line of its own.
            let is_line = self.position == Position::Line || !end.is_empty();
            if is_line { take(OutputLine { bytes: end, cut: false }) } else { Flow::More }
        } else {
            self.partial.extend_from_slice(end);
            take(OutputLine { bytes: &self.partial, cut: false })
        };
        self.forget(Position::Line);
        flow
    }

    fn forget(&mut self, position: Position) {
        self.partial.clear();
        self.since = None;
        self.position = position;
    }

    /// Leaves out what belongs to a line that was cut.
    fn skip<'a>(&mut self, rest: &'a [u8], left_out: &mut LeftOut) -> &'a [u8] {
        // `contains` is much faster than `position`, and a gigabyte without an end of line passes
        // here.
        let end = if rest.contains(&b'\n') { rest.iter().position(|byte| *byte == b'\n') } else { None };
        left_out.bytes += end.unwrap_or(rest.len()) as u64;
        let Some(end) = end else { return &[] };
        self.position = Position::Line;
        &rest[end + 1..]
    }

    /// Leaves out all lines that end in `rest`.
    fn leave_lines<'a>(&mut self, rest: &'a [u8], left_out: &mut LeftOut) -> &'a [u8] {
        let Some(last) = rest.iter().rposition(|byte| *byte == b'\n') else { return rest };
        left_out.lines += rest.iter().filter(|byte| **byte == b'\n').count() as u64;
        left_out.bytes += last as u64 + 1;
        self.position = Position::Line;
        &rest[last + 1..]
    }
}

#[cfg(test)]
mod tests {
    use super::{Flow, LINE_LIMIT, LINE_TIMEOUT, LeftOut, LineSplitter, QUIET_TIMEOUT};
    use std::time::{Duration, Instant};

    /// Feeds the chunks and gives the lines back; those that were cut end in `+`.
    fn lines(splitter: &mut LineSplitter, chunks: &[&[u8]]) -> (Vec<String>, LeftOut) {
        let (mut lines, mut sum) = (Vec::new(), LeftOut::default());
        for chunk in chunks {
            let left_out = splitter.feed(chunk, Instant::now(), |line| {
                lines
                    .push(String::from_utf8_lossy(line.bytes).into_owned() + if line.cut { "+" } else { "" });
                Flow::More
            });
            sum.lines += left_out.lines;
            sum.bytes += left_out.bytes;
        }
        (lines, sum)
    }

    #[test]
    fn lines_are_the_same_however_the_stream_is_chunked() {
        let text = b"one\n\ntwo three\nfour\n";
        for size in 1..text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            let (lines, left_out) = lines(&mut LineSplitter::default(), &chunks);
            assert_eq!(lines, ["one", "", "two three", "four"]);
            assert_eq!(left_out, LeftOut::default());
        }
    }

    #[test]
    fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let long = [vec![b'x'; LINE_LIMIT + 10], b"\nnext\n".to_vec()].concat();
        for size in [1, 7, 4096, long.len()] {
            let chunks: Vec<&[u8]> = long.chunks(size).collect();
            let (lines, left_out) = lines(&mut LineSplitter::default(), &chunks);
            assert_eq!(lines, ["x".repeat(LINE_LIMIT) + "+", "next".into()], "chunks of {size}");
            assert_eq!(left_out, LeftOut { lines: 0, bytes: 10 });
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let line = [vec![b'x'; LINE_LIMIT], b"\n".to_vec()].concat();
        assert_eq!(lines(&mut LineSplitter::default(), &[&line]).0, ["x".repeat(LINE_LIMIT)]);
    }

    #[test]
    fn a_prompt_shows_after_a_pause_and_its_end_is_no_line() {
        let mut splitter = LineSplitter::default();
        let start = Instant::now();
        splitter.feed(b"name? ", start, |_| unreachable!());
        assert_eq!(splitter.deadline(), Some(start + QUIET_TIMEOUT));

        let mut shown = Vec::new();
        splitter.show(|line| {
            shown.extend_from_slice(line.bytes);
            Flow::More
        });

        assert_eq!(shown, b"name? ");
        assert_eq!(splitter.deadline(), None);
        assert_eq!(lines(&mut splitter, &[b"\n", b"\n", b"next\n"]).0, ["", "next"]);
    }

    #[test]
    fn a_line_that_grows_slowly_does_not_wait_for_ever() {
        let mut splitter = LineSplitter::default();
        let start = Instant::now();
        for step in 0..20 {
            splitter.feed(b".", start + Duration::from_millis(100 * step), |_| unreachable!());
        }
        assert_eq!(splitter.deadline(), Some(start + LINE_TIMEOUT));
    }

    #[test]
    fn a_full_receiver_has_the_rest_of_the_chunk_counted() {
        let mut splitter = LineSplitter::default();
        let left_out = splitter.feed(b"a\nbb\ncc\nrest", Instant::now(), |_| Flow::Full);
        assert_eq!(left_out, LeftOut { lines: 2, bytes: 6 });
        assert_eq!(lines(&mut splitter, &[b"!\n"]).0, ["rest!"]);
    }

    #[test]
    fn memory_is_bounded_without_an_end_of_line() {
        let mut splitter = LineSplitter::default();
        let chunk = vec![b'x'; 64 * 1024];
        let (lines, left_out) = lines(&mut splitter, &[chunk.as_slice(); 256]);
        assert_eq!(lines.len(), 1);
        assert_eq!(left_out.bytes, (256 * chunk.len() - LINE_LIMIT) as u64);
        assert!(splitter.partial.capacity() <= 4 * LINE_LIMIT);
    }
}
