//! What scripts print, through real pipes, seen through the log.

use super::line_splitter::LINE_LIMIT;
use super::{OutputStream, ScriptOutput};
use crate::ids::WorkerId;
use crate::log::{LogGuard, LogSettings, to_sink};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// More than enough for anything that happens on a pipe.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A `ScriptOutput` whose log ends in memory.
struct Bench {
    script_output: ScriptOutput,
    paper: Paper,
    guard: LogGuard,
}

impl Bench {
    fn new() -> Self {
        let paper = Paper::default();
        let (subscriber, guard) = to_sink(LogSettings::default(), paper.clone()).unwrap();
        let script_output = tracing::subscriber::with_default(subscriber, ScriptOutput::start).unwrap();
        Self { script_output, paper, guard }
    }

    /// A pipe that is read as that of `instance` and its worker 1.
    fn pipe(&self, instance: &str, stream: OutputStream) -> File {
        let (reader, writer) = io::pipe().unwrap();
        self.script_output.add(instance.into(), WorkerId(1), OwnedFd::from(reader), stream);
        File::from(OwnedFd::from(writer))
    }

    fn text(&self) -> String {
        self.guard.flush(PATIENCE);
        String::from_utf8(self.paper.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits until the log contains `what`, and gives the log back.
    fn wait_for(&self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if text.contains(what) {
                return text;
            }
            assert!(Instant::now() < deadline, "no `{what}` in time in:\n{text}");
            thread::yield_now();
        }
    }
}

#[test]
fn each_line_is_logged_with_its_instance_at_the_level_of_its_stream() {
    let bench = Bench::new();
    let mut out = bench.pipe("py1", OutputStream::Stdout);
    let mut err = bench.pipe("py2", OutputStream::Stderr);
    out.write_all(b"hello\nworld\r\n").unwrap();
    err.write_all(b"oh \xff \x1b[2J no\n").unwrap();
    bench.wait_for("INFO  [py1] hello\n");
    bench.wait_for("INFO  [py1] world\n");
    bench.wait_for("WARN  [py2] oh \u{fffd} \\x1b[2J no\n");
    assert_eq!(bench.script_output.tail(WorkerId(1)), "oh \u{fffd} \x1b[2J no\n");
}

#[test]
fn a_prompt_without_an_end_of_line_shows_while_the_pipe_is_open() {
    let bench = Bench::new();
    let mut pipe = bench.pipe("py1", OutputStream::Stdout);
    pipe.write_all(b"password: ").unwrap();
    bench.wait_for("[py1] password: \n");
}

#[test]
fn what_is_there_when_the_writer_ends_is_logged() {
    let bench = Bench::new();
    let mut pipe = bench.pipe("py1", OutputStream::Stderr);
    pipe.write_all(b"first\nlast words").unwrap();
    drop(pipe);
    bench.wait_for("[py1] last words\n");
}

#[test]
fn a_pipe_that_a_grandchild_holds_is_closed_when_the_worker_is_gone() {
    let bench = Bench::new();
    let mut pipe = bench.pipe("py1", OutputStream::Stderr);
    pipe.write_all(b"before\nthe end").unwrap();
    bench.script_output.remove(WorkerId(1));
    bench.wait_for("[py1] the end\n");
    let deadline = Instant::now() + PATIENCE;
    while pipe.write_all(b"anybody?\n").is_ok() {
        assert!(Instant::now() < deadline, "the pipe is still open");
    }
    assert_eq!(bench.script_output.tail(WorkerId(1)), "before\nthe end");
}

#[test]
fn a_grandchild_that_writes_for_ever_does_not_keep_the_pipe_open() {
    let bench = Bench::new();
    let mut pipe = bench.pipe("py1", OutputStream::Stdout);
    let grandchild = thread::spawn(move || while pipe.write_all(b"more and more\n").is_ok() {});
    bench.wait_for("more and more");
    bench.script_output.remove(WorkerId(1));
    grandchild.join().unwrap();
}

#[test]
fn a_flood_is_read_to_the_end_counted_and_harms_no_other_pipe() {
    let bench = Bench::new();
    let mut flood = bench.pipe("flood", OutputStream::Stdout);
    let mut other = bench.pipe("other", OutputStream::Stdout);
    let lines: u64 = 2_000_000;
    let writer = thread::spawn(move || {
        let text: String = (0..1000).map(|number| format!("{number:09}\n")).collect();
        (0..lines / 1000).for_each(|_| flood.write_all(text.as_bytes()).unwrap());
    });
    other.write_all(b"still heard\n").unwrap();
    bench.wait_for("[other] still heard\n");
    writer.join().unwrap();
    bench.script_output.remove(WorkerId(1));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = bench.text();
        let shown = text.lines().filter(|line| line.contains("[flood] 0")).count() as u64;
        let lost: u64 = text.lines().filter_map(|line| number_after(line, " lines of the log lost")).sum();
        let left_out: u64 = text.lines().filter_map(|line| number_after(line, " lines=")).sum();
        if shown + left_out + lost >= lines {
            assert_eq!(shown + left_out + lost, lines);
            assert!(text.len() < 4 * 1024 * 1024, "{} bytes of log", text.len());
            return;
        }
        assert!(Instant::now() < deadline, "{shown} shown, {left_out} left out, {lost} lost");
        thread::yield_now();
    }
}

/// The number behind `mark`, or in front of it where the mark starts a phrase.
fn number_after(line: &str, mark: &str) -> Option<u64> {
    let (before, after) = line.split_once(mark)?;
    let word = if mark.ends_with('=') { after.split(' ').next() } else { before.rsplit(' ').next() };
    word?.parse().ok()
}

#[test]
fn bytes_without_an_end_of_line_are_cut_and_counted() {
    let bench = Bench::new();
    let mut pipe = bench.pipe("py1", OutputStream::Stderr);
    let total = 64 * 1024 * 1024;
    let chunk = vec![b'x'; 1024 * 1024];
    (0..total / chunk.len()).for_each(|_| pipe.write_all(&chunk).unwrap());
    drop(pipe);
    let text = bench.wait_for("output left out");
    assert!(text.contains("xxx … (line cut)\n"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counted: u64 = bench.text().lines().filter_map(|line| number_after(line, " bytes=")).sum();
        if counted == (total - LINE_LIMIT) as u64 {
            return;
        }
        assert!(Instant::now() < deadline, "{counted} bytes were counted");
        thread::yield_now();
    }
}

#[test]
fn dropping_the_drain_logs_what_is_left_and_closes_everything() {
    let Bench { script_output, paper, guard } = Bench::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut writer = File::from(OwnedFd::from(writer));
    script_output.add("py1".into(), WorkerId(1), OwnedFd::from(reader), OutputStream::Stdout);
    writer.write_all(b"left over").unwrap();
    drop(script_output);
    assert!(writer.write_all(b"nobody").is_err());
    guard.flush(PATIENCE);
    assert!(String::from_utf8(paper.0.lock().unwrap().clone()).unwrap().contains("[py1] left over\n"));
}
