//! What a worker finds around it, and the options of `[supervisor]`.

use crate::{MAPPINGS, assert_answers, stage};
use mm_tests::{Event, TestShow};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn the_environment_of_a_worker_is_that_of_the_supervisor() {
    let show = stage("").run();
    let environment = |pid: i32| -> BTreeMap<String, String> {
        let bytes = fs::read(format!("/proc/{pid}/environ")).expect("a process of our own");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let variables = text.split('\0').filter_map(|variable| variable.split_once('='));
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    assert_eq!(environment(show.worker("py").pid), environment(show.process().pid));
    show.stop();
}

#[test]
fn the_control_socket_is_where_the_show_file_says() {
    let stage = TestShow::new();
    stage.python("h.py", crate::SCRIPT);
    stage.osc_show(&format!("[supervisor]\nsocket = here.sock\n[python py]\nmodule = h\n[map]\n{MAPPINGS}"));
    let show = stage.run();
    let path = show.stage().path("here.sock");
    show.ask(&["status", "--socket", &path]).assert(0, &["py"]);
    show.stop();
    assert!(!Path::new(&path).exists());
}

#[test]
fn low_latency_and_priority_are_granted_or_refused_with_a_warning() {
    let stage = TestShow::new();
    stage.python("h.py", crate::SCRIPT);
    stage.osc_show(&format!(
        "[supervisor]\nlow-latency = on\npriority = fifo:1\n[python py]\nmodule = h\n[map]\n{MAPPINGS}"
    ));
    let show = stage.run();
    assert_answers(&show, 0.5);
    let scheduling = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process of our own");
        let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace().nth(38).map(str::to_owned);
        fields.expect("a policy")
    };
    let granted = scheduling(show.process().pid) == "1";
    assert!(
        granted
            || show
                .log()
                .count(Event::named("realtime_refused").level("warn").message("`priority = fifo:1`"))
                == 1
    );
    // Whatever the event loop has, scripts do not.
    assert_eq!(scheduling(show.worker("py").pid), "0");
    show.stop();
}

#[test]
fn a_nice_value_is_that_of_the_core_loop_alone() {
    let stage = TestShow::new();
    stage.python("h.py", crate::SCRIPT);
    stage.osc_show(&format!("[supervisor]\npriority = 5\n[python py]\nmodule = h\n[map]\n{MAPPINGS}"));
    let show = stage.run();
    assert_answers(&show, 0.5);
    let nice = |pid: i32| -> i32 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process of our own");
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        fields[16].parse().expect("a nice value")
    };
    let own = nice(i32::try_from(std::process::id()).expect("the number of a process"));
    assert_eq!(nice(show.process().pid), 5);
    assert_eq!(nice(show.worker("py").pid), own);
    show.stop();
}
