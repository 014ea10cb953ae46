//! The log as users and machines read it.

use crate::python;
use mm_tests::osc::F;
use mm_tests::{Event, Running, wait_until};
use serde_json::Value;

const TALKER: &str = "
    print('hello')
    def go(value):
        raise ValueError('wrong\\x1b[31m value')
";

/// A running show that logs in the format for people.
fn logging_text() -> Running {
    let stage = python(TALKER, "net./go > py.h.go");
    let path = stage.path("show.cfg");
    let show = stage.start(&["--config", &path]);
    show.wait_for(&["show is running"]);
    show
}

#[test]
fn a_traceback_is_whole_and_names_file_line_and_function() {
    let show = logging_text();
    show.send("/go", &[F(0.5)]);
    show.wait_for(&["ERROR", "[py]", "h.go"]);
    show.wait_for(&["    ValueError: wrong\\x1b[31m value"]);
    let text = show.log().text();
    let block: Vec<&str> = text.lines().skip_while(|line| !line.contains("ERROR")).skip(1).collect();
    let end = block.iter().position(|line| line.contains("ValueError")).unwrap();
    let block = &block[..=end];
    assert!(block.iter().all(|line| line.starts_with("    ")), "{block:#?}");
    assert!(block[0].contains("Traceback (most recent call last)"), "{block:#?}");
    assert!(block.iter().any(|line| line.contains("h.py\", line 4, in go")), "{block:#?}");
    show.stop();
}

#[test]
fn a_log_that_is_no_terminal_has_no_colours() {
    let show = logging_text();
    show.send("/go", &[F(0.5)]);
    show.wait_for(&["ValueError"]);
    let ended = show.stop();
    assert!(!ended.text.contains('\x1b'));
}

#[test]
fn json_has_one_object_a_line_with_instance_and_traceback() {
    let stage = python(TALKER, "net./go > py.h.go");
    let show = stage.run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(&["ValueError"]);
    let log = show.log().clone();
    show.stop();
    let lines = log.as_written();
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(objects.iter().any(|object| object["event"] == "worker_ready" && object["instance"] == "py"));
    let hello = objects.iter().find(|object| object["message"] == "hello").unwrap();
    assert_eq!((&hello["instance"], &hello["level"]), (&Value::from("py"), &Value::from("info")));
    let raised = objects.iter().find(|object| object["level"] == "error").unwrap();
    assert!(raised.to_string().contains("Traceback (most recent call last)"), "{raised}");
    assert!(objects.iter().all(|object| object["time"].is_string()));
}

#[test]
fn the_level_decides_what_is_logged_on_the_command_line_and_in_the_environment() {
    for in_environment in [false, true] {
        let stage = python(TALKER, "net./go > py.h.go");
        let mut command = stage.show_command();
        if in_environment {
            command.env("MM_LOG", "error");
        } else {
            command.args(["--log-level", "error"]);
        }
        let show = stage.start_command(command);
        // There is no line to wait for when all is well: the handler's error is the first one.
        wait_until("an error in the log", || {
            show.send("/go", &[F(0.5)]);
            show.log().count(&["ERROR"]) > 0
        });
        let less = show.log().count(&["INFO"]) + show.log().count(&["WARN"]);
        assert_eq!(less, 0, "{}", show.log().text());
        show.stop();
    }
}

#[test]
fn repeated_errors_are_counted() {
    let show = python(TALKER, "net./go > py.h.go").run();
    for _ in 0..300 {
        show.send("/go", &[F(0.5)]);
    }
    show.wait_for(&["ValueError"]);
    let ended = show.stop();
    let tracebacks = ended.text.matches("Traceback").count();
    assert!((1..100).contains(&tracebacks), "{tracebacks} tracebacks");
}

/// The level of the line that a script has printed.
fn level(show: &Running, line: &str) -> String {
    show.wait_for(Event::printed("py", line)).level
}

#[test]
fn lines_of_logging_have_the_level_that_the_script_means() {
    let script = "
        import logging, sys, threading, _thread, warnings
        logging.basicConfig(level=logging.DEBUG, format='%(levelname)s-%(message)s')
        out = logging.getLogger('out')
        out.addHandler(logging.StreamHandler(sys.stdout))
        out.propagate = False
        def go(value):
            logging.debug('one')
            logging.info('two')
            logging.warning('three')
            logging.error('four\\nfive')
            logging.critical('six')
            out.error('seven')
            warnings.warn('eight')
            print('nine')
            print('ten', file=sys.stderr)
            print('<3>eleven', file=sys.stderr)
            def fail():
                raise ValueError('twelve')
            threading.Thread(target=fail).start()
            _thread.start_new_thread(fail, ())
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    for (line, expected) in [
        ("DEBUG-one", "debug"),
        ("INFO-two", "info"),
        ("WARNING-three", "warn"),
        ("ERROR-four", "error"),
        ("five", "error"),
        ("CRITICAL-six", "error"),
        ("seven", "error"),
        ("nine", "info"),
        ("ten", "warn"),
        ("eleven", "error"),
        ("ValueError: twelve", "error"),
        ("Exception in thread Thread-", "error"),
        ("Exception ignored in thread started by", "error"),
    ] {
        assert_eq!(level(&show, line), expected, "{line}");
    }
    let warned = show.log().all(Event::named("script_printed").message("eight"));
    assert!(warned.iter().all(|line| line.level == "warn") && !warned.is_empty());
    show.stop();
}

#[test]
fn logging_that_a_script_does_not_configure_is_as_in_plain_python() {
    let script = "
        import logging, io, sys
        log = logging.getLogger('mine')
        def go(value):
            log.info('not shown')
            log.error('shown')
            text = io.StringIO()
            log.addHandler(logging.StreamHandler(text))
            log.warning('elsewhere')
            print('text:', repr(text.getvalue()))
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "text: 'elsewhere\\n'"));
    assert_eq!(level(&show, "shown"), "error");
    assert_eq!(show.log().count(Event::printed("py", "not shown")), 0);
    show.stop();
}
