//! Reads what a client sends line by line, none longer than a limit.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// The lines of a client.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    limit: usize,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientLine<'a> {
    /// A line, without its end and the white space around it; never empty.
    Text(&'a [u8]),
    /// A line that is longer than the limit. Its rest is not read.
    TooLong,
    /// No whole line within the timeout of the connection.
    Timeout,
    /// The client sends nothing more.
    End,
}

impl<R: Read> LineReader<R> {
    /// Lines have at most `limit` bytes without their end.
    #[must_use]
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), limit }
    }

    /// The next line. Empty ones are skipped; the last one needs no end.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub fn next_line(&mut self) -> io::Result<ClientLine<'_>> {
        loop {
            // `read_until` keeps what it has read before a timeout, but the client has had its time
            self.line.clear();
            let longest = self.limit as u64 + 1;
            match (&mut self.reader).take(longest).read_until(b'\n', &mut self.line) {
                Ok(0) => return Ok(ClientLine::End),
                Ok(_) if self.line.last() != Some(&b'\n') && self.line.len() > self.limit => {
                    return Ok(ClientLine::TooLong);
                }
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) => return Ok(ClientLine::Text(self.line.trim_ascii())),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(ClientLine::Timeout);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, proptest};

    /// Yields one piece per read.
    struct Pieces(std::vec::IntoIter<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let piece = self.0.by_ref().find(|piece| !piece.is_empty()).unwrap_or_default();
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    fn reader(pieces: &[&[u8]], limit: usize) -> LineReader<Pieces> {
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        LineReader::new(Pieces(pieces.into_iter()), limit)
    }

    fn all(reader: &mut LineReader<Pieces>) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let ClientLine::Text(line) = reader.next_line().unwrap() {
            found.push(line.to_vec());
        }
        found
    }

    #[test]
    fn half_a_line_waits_for_its_other_half() {
        let mut lines = reader(&[b"one\ntw", b"o\r\n\n  \nthree"], 16);
        assert_eq!(all(&mut lines), [b"one".as_slice(), b"two", b"three"]);
        assert_eq!(lines.next_line().unwrap(), ClientLine::End);
    }

    #[test]
    fn a_line_of_the_limit_is_let_through_and_a_longer_one_is_not() {
        let mut lines = reader(&[b"four\nfive!\n"], 4);
        assert_eq!(lines.next_line().unwrap(), ClientLine::Text(b"four"));
        assert_eq!(lines.next_line().unwrap(), ClientLine::TooLong);
        assert_eq!(reader(&[b"abcd"], 4).next_line().unwrap(), ClientLine::Text(b"abcd"));
        assert_eq!(reader(&[b"abcd", b"e"], 4).next_line().unwrap(), ClientLine::TooLong);
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            pieces in prop::collection::vec(
                prop::collection::vec(any::<u8>().prop_map(|byte| if byte > 200 { b'\n' } else { byte }), 0..40),
                0..12,
            )
        ) {
            let mut whole = reader(&[&pieces.concat()], 1000);
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let mut pieced = reader(&pieces, 1000);
            assert_eq!(all(&mut pieced), all(&mut whole));
            assert_eq!(pieced.next_line().unwrap(), ClientLine::End);
        }
    }
}
