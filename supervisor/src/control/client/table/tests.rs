//! How `status` looks.

use super::super::super::protocol::HandlerTimes;
use super::*;
use crate::status::LastError;

/// Without a terminal.
const WIDE: Layout = Layout { color: false, width: None };

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn desk() -> InstanceStatus {
    InstanceStatus {
        name: "desk".into(),
        backend: "osc".into(),
        state: InstanceState::Running,
        events_in: 1204,
        events_out: 88,
        ..InstanceStatus::default()
    }
}

fn lights() -> InstanceStatus {
    InstanceStatus {
        name: "lights".into(),
        backend: "python".into(),
        state: InstanceState::Running,
        pid: Some(4711),
        uptime_s: Some(75),
        restarts: Some(3),
        restarts_by_fault: Some(1),
        last_exit: Some(LastExit {
            reason: "killed by SIGSEGV".into(),
            at: "2026-03-01T11:58:45Z".into(),
            ..LastExit::default()
        }),
        events_in: 1_000_000,
        events_out: 12,
        errors: 3,
        last_error: Some(LastError {
            text: "ZeroDivisionError: division by zero in handler of `m.dim`".into(),
            at: "2026-03-01T11:59:57Z".into(),
        }),
        queued: Some(0),
        conflated: Some(17),
        rss_bytes: Some(18_400_000),
        handler_us: Some(HandlerTimes { p50: 0.5, p99: 64.0, max: 2048.0 }),
        ..desk()
    }
}

fn sound() -> InstanceStatus {
    InstanceStatus {
        name: "sound".into(),
        backend: "python".into(),
        state: InstanceState::Backoff,
        next_start_ms: Some(1600),
        restarts: Some(4),
        restarts_by_fault: Some(4),
        last_exit: Some(LastExit {
            reason: "import failed: NameError".into(),
            at: "2026-03-01T11:59:59Z".into(),
            stderr_tail: Some("ignored".into()),
            traceback: Some("Traceback (most recent call last):\n\tFile \"s.py\"\nNameError: \x1bx\n".into()),
        }),
        queued: Some(5),
        conflated: Some(0),
        ..InstanceStatus::default()
    }
}

fn show(instances: Vec<InstanceStatus>) -> ShowStatus {
    ShowStatus {
        show: "gallery".into(),
        file: "/srv/gallery.cfg".into(),
        pid: 4242,
        uptime_s: 7_384,
        last_good: None,
        instances,
    }
}

#[test]
fn a_show_is_seen_at_a_glance() {
    let text = render(&show(vec![desk(), lights(), sound()]), now(), WIDE);
    insta::assert_snapshot!(text);
}

#[test]
fn on_a_terminal_of_80_columns_the_table_fits_and_what_is_left_out_is_below() {
    let layout = Layout { color: false, width: Some(80) };
    let text = render(&show(vec![desk(), lights(), sound()]), now(), layout);
    let (table, _) = text.split_once("\n\nlights: ").expect("remarks are below");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_terminal_that_is_wide_enough_has_all_columns() {
    let all = render(&show(vec![desk(), lights(), sound()]), now(), WIDE);
    let widest = all.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let layout = Layout { color: false, width: Some(widest) };
    assert_eq!(render(&show(vec![desk(), lights(), sound()]), now(), layout), all);
}

#[test]
fn a_show_where_all_is_well_says_so() {
    let text = render(&show(vec![desk()]), now(), WIDE);
    assert!(text.starts_with("show gallery, pid 4242, up 2h 3m, 1 of 1 instances running\n"), "{text}");
    assert_eq!(text.lines().count(), 4);
}

#[test]
fn a_show_without_instances_has_no_table() {
    insta::assert_snapshot!(render(&show(vec![]), now(), WIDE), @"show gallery, pid 4242, up 2h 3m, 0 of 0 instances running");
}

#[test]
fn a_show_that_is_not_that_of_the_show_file_says_so_and_why() {
    let status = ShowStatus { last_good: Some("unknown option `x`\x1b".into()), ..show(vec![]) };
    let text = render(&status, now(), WIDE);
    let line = "\nthe last good show runs, not the show file: unknown option `x`\\u{1b}\n";
    assert!(text.ends_with(line), "{text}");
}

#[test]
fn notes_are_said_also_of_instances_that_run() {
    let wall = InstanceStatus { note: Some("universe 3 is not received since 12:03:04".into()), ..desk() };
    let text = render(&show(vec![wall]), now(), WIDE);
    assert!(text.ends_with("\ndesk: universe 3 is not received since 12:03:04\n"), "{text}");
}

#[test]
fn colours_do_not_disturb_the_columns() {
    let status = show(vec![desk(), lights(), sound()]);
    let (with, without) =
        (render(&status, now(), Layout { color: true, ..WIDE }), render(&status, now(), WIDE));
    assert!(with.contains("\x1b[32mrunning\x1b[0m"));
    let mut bare = with;
    for code in ["0", "1", "2", "31", "32", "33"] {
        bare = bare.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(bare, without);
}
