//! The log as a whole, through `tracing`, into a writer of the test's.

use super::queue::EVENT_LIMIT;
use super::{LogFormat, LogGuard, LogSettings, SCRIPT, to_sink};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{debug, error, info, warn};

/// How long the writer may take for what a test has logged, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was written so far, and whether writing fails.
#[derive(Clone, Default)]
struct Paper {
    text: Arc<Mutex<Vec<u8>>>,
    full: Arc<Mutex<bool>>,
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    /// The lines without time and level, which stand in the first 30 columns.
    fn lines(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .map(|line| line.get(30..).filter(|_| !line.starts_with(' ')).unwrap_or(line).into())
            .collect()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if *self.full.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.text.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log(settings: LogSettings, events: impl FnOnce(&LogGuard)) -> Paper {
    let paper = Paper::default();
    let (subscriber, guard) = to_sink(settings, paper.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || events(&guard));
    guard.flush(PATIENCE);
    drop(guard);
    paper
}

#[test]
fn an_event_is_a_line_with_time_level_instance_message_and_fields() {
    let paper = log(LogSettings::default(), |_| {
        info!(instance = "py1", port = 8000, path = "a b", on = true, "ready");
        warn!(instance = %"py2", "no field");
    });
    let text = paper.text();
    let time = &text.lines().next().unwrap()[..23];
    assert!(jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", time).is_ok(), "{time}");
    assert!(text.contains(" INFO  [py1] ready port=8000 path=\"a b\" on=true\n"), "{text}");
    assert!(text.contains(" WARN  [py2] no field\n"), "{text}");
}

#[test]
fn a_traceback_stays_whole_under_its_event() {
    let paper = log(LogSettings::default(), |_| {
        let traceback = "Traceback (most recent call last):\n  File \"h.py\", line 3\nValueError: x\n";
        error!(instance = "py1", traceback, errors = 1, "handler raised");
        info!("next");
    });
    let expected = [
        "[py1] handler raised errors=1",
        "    Traceback (most recent call last):",
        "      File \"h.py\", line 3",
        "    ValueError: x",
        "next",
    ];
    assert_eq!(paper.lines(), expected);
}

#[test]
fn what_is_below_the_level_is_not_logged() {
    let quiet = LogSettings { level: LevelFilter::WARN, ..LogSettings::default() };
    let paper = log(quiet, |_| {
        info!("too little");
        error!("enough");
    });
    assert_eq!(paper.lines(), ["enough"]);
    let loud = LogSettings { level: LevelFilter::DEBUG, ..LogSettings::default() };
    assert_eq!(log(loud, |_| debug!("detail")).lines(), ["detail"]);
}

#[test]
fn foreign_text_cannot_steer_the_terminal() {
    for format in [LogFormat::Text, LogFormat::Journal, LogFormat::Json] {
        let paper = log(LogSettings { format, ..LogSettings::default() }, |_| {
            info!(instance = "a\x1b[31m", key = "\x1b]0;title\x07", "clear\x1b[2J \u{9b}1m");
        });
        let text = paper.text();
        assert!(text.contains("clear"), "{text}");
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }
}

#[test]
fn the_journal_gets_a_priority_on_every_line_and_no_time() {
    let paper = log(LogSettings { format: LogFormat::Journal, ..LogSettings::default() }, |_| {
        error!(instance = "py1", traceback = "one\ntwo", "raised");
        info!("fine");
    });
    assert_eq!(paper.text(), "<3>[py1] raised\n<3>    one\n<3>    two\n<6>fine\n");
}

#[test]
fn json_has_one_object_an_event() {
    let paper = log(LogSettings { format: LogFormat::Json, ..LogSettings::default() }, |_| {
        error!(instance = "py1", errors = 2, share = 0.5, odd = f64::NAN, traceback = "a\nb", "raised");
    });
    let object: Value = serde_json::from_str(&paper.text()).unwrap();
    assert_eq!(object["level"], "error");
    assert_eq!(object["instance"], "py1");
    assert_eq!(object["message"], "raised");
    assert_eq!(object["fields"], json!({"errors": 2, "share": 0.5, "odd": "NaN", "traceback": "a\nb"}));
    assert!(object["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

#[test]
fn the_event_is_a_member_of_the_json_object_and_not_shown_to_people() {
    let said = |format| {
        log(LogSettings { format, ..LogSettings::default() }, |_| {
            info!(event = "worker_ready", instance = "py1", pid = 7, "ready");
            info!("no name");
        })
    };
    let text = said(LogFormat::Json).text();
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["event"], &objects[1]["event"]), (&json!("worker_ready"), &Value::Null));
    assert_eq!((&objects[0]["instance"], &objects[0]["fields"]), (&json!("py1"), &json!({"pid": 7})));
    assert_eq!(said(LogFormat::Text).lines(), ["[py1] ready pid=7", "no name"]);
    assert_eq!(said(LogFormat::Journal).text(), "<6>[py1] ready pid=7\n<6>no name\n");
}

#[test]
fn repeats_are_counted_and_the_count_is_not_lost_at_the_end() {
    let paper = log(LogSettings::default(), |_| {
        for errors in 0..100 {
            warn!(instance = "py1", errors, "again");
        }
        for _ in 0..20 {
            info!(target: SCRIPT, instance = "py1", "printed");
        }
    });
    let lines = paper.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("again")).count(), 6);
    assert!(lines.contains(&"[py1] again errors=99 … (repeated 95 times)".into()), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("printed")).count(), 20);
}

#[test]
fn what_was_held_back_is_in_the_order_of_the_times() {
    let paper = log(LogSettings { format: LogFormat::Json, ..LogSettings::default() }, |_| {
        for number in 0..20 {
            warn!("again");
            info!("between {number}");
        }
    });
    let text = paper.text();
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times: Vec<&str> = objects.iter().filter_map(|object| object["time"].as_str()).collect();
    assert!(times.is_sorted(), "{text}");
    assert_eq!(objects.last().map(|last| &last["repeated"]), Some(&json!(15)));
}

#[test]
fn what_scripts_print_at_debug_is_shown_from_info_on() {
    let said = |level| {
        log(LogSettings { level, ..LogSettings::default() }, |_| {
            debug!(target: SCRIPT, "of a script");
            debug!("of the program");
        })
    };
    assert_eq!(said(LevelFilter::INFO).lines(), ["of a script"]);
    assert!(said(LevelFilter::WARN).lines().is_empty());
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let paper = log(LogSettings::default(), |_| info!("{}", "ü".repeat(100_000)));
    let text = paper.text();
    assert!(text.len() < 70_000);
    assert!(text.contains("… (cut, 134464 bytes more)"), "{}", &text[text.len() - 60..]);
}

/// A writer that waits for the test before each write.
struct Stuck {
    permits: Receiver<()>,
    paper: Paper,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Without the test the writing goes on.
        let _ = self.permits.recv();
        self.paper.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stuck() -> (Sender<()>, Paper, Stuck) {
    let (sender, permits) = mpsc::channel();
    let paper = Paper::default();
    (sender, paper.clone(), Stuck { permits, paper })
}

#[test]
fn a_reader_that_stops_costs_lines_but_no_caller_waits() {
    let (permits, paper, sink) = stuck();
    let (subscriber, guard) = to_sink(LogSettings::default(), sink).unwrap();
    let said = EVENT_LIMIT * 2;
    tracing::subscriber::with_default(subscriber, || {
        for number in 0..said {
            info!("line {number}");
        }
        // All of this came back although nothing was written. The end of the program does not wait
        // for ever either:
        guard.flush(Duration::from_millis(1));
    });
    drop(permits);
    guard.flush(PATIENCE);
    drop(guard);
    let lines = paper.lines();
    // Lines can be lost before the writer runs for the first time and after it, so there can be
    // several notes.
    let notes = lines.iter().filter_map(|line| line.split_once(" lost, they could not be written"));
    let lost: Vec<usize> =
        notes.map(|(count, _)| count.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(!lost.is_empty(), "no note in {} lines", lines.len());
    assert_eq!(lines.len() - lost.len() + lost.iter().sum::<usize>(), said);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let (permits, paper, sink) = stuck();
    let (subscriber, guard) = to_sink(LogSettings::default(), sink).unwrap();
    let text = "x".repeat(60_000);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..200 {
            info!(target: SCRIPT, "{text}");
        }
    });
    drop(permits);
    guard.flush(PATIENCE);
    drop(guard);
    assert!(paper.text().len() < 5 * 1024 * 1024);
    assert!(paper.text().contains(" lines of the log lost"));
}

#[test]
fn a_write_error_is_survived_and_counted() {
    let paper = Paper::default();
    let (subscriber, guard) = to_sink(LogSettings::default(), paper.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        *paper.full.lock().unwrap() = true;
        info!("nobody will read this");
        guard.flush(PATIENCE);
        *paper.full.lock().unwrap() = false;
        info!("there is room again");
        guard.flush(PATIENCE);
        drop(guard);
    });
    let lines = paper.lines();
    assert!(lines.contains(&"there is room again".into()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("1 line of the log lost")), "{lines:?}");
}
