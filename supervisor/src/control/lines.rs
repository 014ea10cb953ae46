//! Cuts what a client sends into lines, none longer than a limit.

/// Bytes of a client that are not handled yet.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Bytes of the front that are handled.
    taken: usize,
    /// Bytes of the front that hold no line feed, so that none is looked at twice.
    searched: usize,
    longest: usize,
}

/// What is at the front.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// A line, without its end and the white space around it; never empty.
    Line(&'a [u8]),
    /// No whole line yet.
    Half,
    /// A line that is longer than allowed.
    TooLong,
}

impl Lines {
    /// Nothing yet; lines have at most `longest` bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { bytes: Vec::new(), taken: 0, searched: 0, longest }
    }

    /// Takes in what was received.
    pub fn push(&mut self, received: &[u8]) {
        self.bytes.drain(..self.taken);
        self.searched -= self.taken;
        self.taken = 0;
        self.bytes.extend_from_slice(received);
    }

    /// Nothing more is received: what is left is a line, whole or not.
    pub fn end(&mut self) {
        if self.bytes.last() != Some(&b'\n') {
            self.push(b"\n");
        }
    }

    /// The next line. Empty ones are left out.
    pub fn cut(&mut self) -> Cut<'_> {
        loop {
            let Some(distance) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.bytes.len();
                let half = self.bytes.len() - self.taken <= self.longest;
                return if half { Cut::Half } else { Cut::TooLong };
            };
            let (start, end) = (self.taken, self.searched + distance);
            if end - start > self.longest {
                return Cut::TooLong;
            }
            self.taken = end + 1;
            self.searched = end + 1;
            if !self.bytes[start..end].trim_ascii().is_empty() {
                return Cut::Line(self.bytes[start..end].trim_ascii());
            }
        }
    }

    /// Whether everything is handled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, proptest};

    fn all(lines: &mut Lines) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Cut::Line(line) = lines.cut() {
            found.push(line.to_vec());
        }
        found
    }

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let mut lines = Lines::new(16);
        lines.push(b"one\ntw");
        assert_eq!(all(&mut lines), [b"one"]);
        assert_eq!(lines.cut(), Cut::Half);
        lines.push(b"o\r\n\n  \nthree");
        assert_eq!(all(&mut lines), [b"two"]);
        lines.end();
        assert_eq!(all(&mut lines), [b"three"]);
        assert!(lines.is_empty());
    }

    #[test]
    fn a_line_of_the_limit_is_let_through_and_a_longer_one_is_not() {
        let mut lines = Lines::new(4);
        lines.push(b"four\nfive!\n");
        assert_eq!(lines.cut(), Cut::Line(b"four"));
        assert_eq!(lines.cut(), Cut::TooLong);
        let mut lines = Lines::new(4);
        lines.push(b"abcd");
        assert_eq!(lines.cut(), Cut::Half);
        lines.push(b"e");
        assert_eq!(lines.cut(), Cut::TooLong);
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            pieces in prop::collection::vec(
                prop::collection::vec(any::<u8>().prop_map(|byte| if byte > 200 { b'\n' } else { byte }), 0..40),
                0..12,
            )
        ) {
            let mut whole = Lines::new(1000);
            whole.push(&pieces.concat());
            whole.end();
            let mut pieced = Lines::new(1000);
            let mut found = Vec::new();
            for piece in &pieces {
                pieced.push(piece);
                found.extend(all(&mut pieced));
            }
            pieced.end();
            found.extend(all(&mut pieced));
            assert_eq!(found, all(&mut whole));
            assert!(pieced.is_empty());
        }
    }
}
