//! Faults `hostile-client` and `control-socket-removed`, and all verbs: the control socket of a
//! running show, and the verbs of the command line that use it.

mod verbs;

use mm_tests::osc::F;
use mm_tests::wait::{wait_until, wait_within};
use mm_tests::{BackgroundTraffic, Event, Running, TestShow, other_user};
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a control socket that was removed may be away.
const RESTORED_WITHIN: Duration = Duration::from_secs(10);

/// The program with a runtime directory of its own stage, so that shows of other tests are not
/// found.
fn command(stage: &TestShow, arguments: &[&str]) -> Command {
    let mut command = stage.command(arguments);
    command.env("XDG_RUNTIME_DIR", stage.directory());
    command
}

/// A running show of `net` with these mappings.
fn run(text: &str) -> Running {
    let stage = TestShow::new();
    stage.osc_show(text);
    start(stage)
}

fn start(stage: TestShow) -> Running {
    let mut command = stage.show_command();
    command.env("XDG_RUNTIME_DIR", stage.directory());
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    show
}

fn socket(show: &Running) -> PathBuf {
    show.stage().directory().join("mm-supervisor/show.sock")
}

/// What a verb printed, to standard output and to standard error, and its status.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ask(stage: &TestShow, arguments: &[&str]) -> Said {
    let output = command(stage, arguments).stdin(Stdio::null()).output().expect("the program runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn status_finds_the_only_running_show() {
    let show = run("[map]\nnet./in > net./out");
    let said = ask(show.stage(), &["status", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let status: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(status["show"], "show");
    assert_eq!(status["pid"], show.process().pid);
    assert_eq!(status["instances"][0]["name"], "net");
    assert_eq!(status["instances"][0]["backend"], "osc");
    assert_eq!(status["instances"][0]["pid"], Value::Null);
    let said = ask(show.stage(), &["status"]);
    assert!(said.out.contains("INSTANCE") && said.out.contains("net"), "{}", said.out);
    show.stop();
}

#[test]
fn without_a_show_a_verb_says_so() {
    // other tests run shows of this user, which are found wherever they are
    let said = ask(&TestShow::new(), &["status", "--show", "no such show"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.starts_with("error: no running show is named `no such show`\nhint: "), "{}", said.err);
}

#[test]
fn what_makes_no_sense_on_the_command_line_is_an_error_of_usage() {
    for arguments in [["send", "net", "0.5"].as_slice(), &["send", "net./in", "2"], &["restart"]] {
        assert_eq!(ask(&TestShow::new(), arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn an_event_is_put_in_as_if_it_had_come_in() {
    let show = run("[map]\nnet./in > net./out");
    let said = ask(show.stage(), &["send", "net./in", "0.5"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    show.expect("/out", &[F(0.5)]);
    show.stop();
}

#[test]
fn a_name_that_the_show_does_not_have_is_answered_with_one_that_is_close() {
    let show = run("[map]\nnet./in > net./out");
    let said = ask(show.stage(), &["send", "nett./in", "0.5"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("hint: did you mean `net`?"), "{}", said.err);
    show.stop();
}

#[test]
fn events_are_printed_as_they_pass() {
    let show = run("[map]\nnet./in > net./out");
    let printed = show.stage().directory().join("printed");
    let mut monitor = command(show.stage(), &["monitor", "net./in"])
        .stdout(File::create(&printed).unwrap())
        .spawn()
        .unwrap();
    wait_until("an event that is printed", || {
        show.send("/in", &[F(0.25)]);
        fs::read_to_string(&printed)
            .unwrap()
            .lines()
            .any(|line| line.contains("net./in") && line.ends_with(" 0.25"))
    });
    monitor.kill().unwrap();
    monitor.wait().unwrap();
    show.stop();
}

#[test]
fn a_verb_that_acts_waits_for_the_outcome_and_prints_it() {
    let stage = TestShow::new();
    stage.python("h.py", "def f(value): pass\n");
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./in > py.h.f");
    let show = start(stage);
    let first = show.worker("py");
    let said = ask(show.stage(), &["restart", "py"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.starts_with("py: running, pid "), "{}", said.out);
    assert!(!said.out.contains(&format!("pid {} ", first.pid)), "{}", said.out);
    for (verb, state) in [("stop", "stopped"), ("start", "running")] {
        let said = ask(show.stage(), &[verb, "py"]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let status: Value = serde_json::from_str(&ask(show.stage(), &["status", "--json"]).out).unwrap();
        let py = status["instances"].as_array().unwrap().iter().find(|instance| instance["name"] == "py");
        assert_eq!(py.unwrap()["state"], state);
    }
    show.stop();
}

#[test]
fn a_reload_that_fails_prints_the_traceback_and_the_old_worker_goes_on() {
    let stage = TestShow::new();
    stage.python("h.py", "def f(value): pass\n");
    stage.osc_show("[python py]\nmodule = h\n[map]\nnet./in > py.h.f");
    let show = start(stage);
    let first = show.worker("py");
    show.stage().replace("h.py", "raise RuntimeError('on purpose')\n");
    let said = ask(show.stage(), &["reload", "py"]);
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    for part in ["error: `py`: ", "Traceback (most recent call last):", "RuntimeError: on purpose"] {
        assert!(said.err.contains(part), "no `{part}` in: {}", said.err);
    }
    let status: Value = serde_json::from_str(&ask(show.stage(), &["status", "--json"]).out).unwrap();
    let py = status["instances"].as_array().unwrap().iter().find(|instance| instance["name"] == "py");
    assert_eq!(py.unwrap()["pid"], first.pid);
    show.stop();
}

#[test]
fn a_second_supervisor_of_the_same_show_does_not_start() {
    let show = run("[map]\nnet./in > net./out");
    let said = ask(show.stage(), &["--config", &show.stage().path("show.cfg")]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(
        said.err.contains(&format!("pid {}", show.process().pid)) || said.err.contains("in use"),
        "{}",
        said.err
    );
    // the first one still answers
    assert_eq!(ask(show.stage(), &["status"]).code, Some(0));
    show.stop();
}

#[test]
fn the_socket_is_private_and_goes_with_the_show() {
    let show = run("[map]\nnet./in > net./out");
    let socket = socket(&show);
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket), 0o600);
    assert_eq!(mode(&socket.parent().unwrap().to_owned()), 0o700);
    show.stop();
    assert!(!socket.exists());
}

#[test]
fn a_socket_that_was_removed_is_there_again_within_seconds() {
    let show = run("[map]\nnet./in > net./out");
    let socket = socket(&show);
    fs::remove_file(&socket).unwrap();
    wait_within("the socket's file", RESTORED_WITHIN, || socket.exists().then_some(()));
    assert_eq!(ask(show.stage(), &["status"]).code, Some(0));
    fs::remove_dir_all(socket.parent().unwrap()).unwrap();
    wait_within("the socket's directory", RESTORED_WITHIN, || socket.exists().then_some(()));
    assert_eq!(ask(show.stage(), &["status"]).code, Some(0));
    show.stop();
    assert!(!socket.exists());
}

#[test]
fn a_runtime_directory_that_does_not_exist_is_replaced_by_another_with_a_warning() {
    let stage = TestShow::new();
    stage.osc_show("[map]\nnet./in > net./out");
    let socket = stage.path("own.sock");
    let mut command = stage.show_command();
    command.args(["--socket", &socket]);
    command.env("XDG_RUNTIME_DIR", stage.path("missing"));
    let show = stage.start_command(command);
    show.wait_for(Event::named("runtime_dir_missing"));
    show.wait_for(Event::named("show_running"));
    show.ask(&["--socket", &socket, "status"]).assert(0, &["net"]);
    show.stop();
}

#[test]
fn a_runtime_directory_that_another_user_has_made_is_replaced_by_one_at_home() {
    if !nix::unistd::Uid::effective().is_root() {
        mm_tests::skip!("only root can become another user");
    }
    let user = 61_185;
    let stage = TestShow::new();
    stage.osc_show("[map]\nnet./in > net./out");
    let stage = match stage.hand_over(user) {
        Ok(stage) => stage,
        Err(reason) => mm_tests::skip!("another user cannot start the programs: {reason}"),
    };
    let (temporary, home) = (stage.path("tmp"), stage.path("home"));
    fs::create_dir_all(format!("{temporary}/mm-supervisor-{user}")).unwrap();
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(user), Some(user)).unwrap();
    let as_user = |mut command: Command| {
        command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &temporary).env("HOME", &home);
        other_user::run_as(&mut command, user);
        command
    };
    let (start, status) = (as_user(stage.show_command()), as_user(stage.command(&["status"])));
    let show = stage.start_command(start);
    show.wait_for(Event::named("runtime_dir_foreign").level("warn"));
    show.wait_for(Event::named("show_running"));
    let mut status = status;
    let said = status.output().unwrap();
    assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("net"), "{said:?}");
    show.stop();
}

#[test]
fn whatever_is_written_to_the_socket_the_show_goes_on() {
    let stage = TestShow::new();
    BackgroundTraffic::show(&stage, "[map]\nnet./in > net./out\n");
    let show = start(stage);
    let others = BackgroundTraffic::start(&show);
    let connect = || UnixStream::connect(socket(&show)).unwrap();
    let mut half = connect();
    half.write_all(b"{\"verb\":").unwrap();
    let mut garbage = connect();
    garbage.write_all(b"\xff\x00}{\nhello\n").unwrap();
    let mut replies = BufReader::new(&garbage).lines();
    for _ in 0..2 {
        assert!(replies.next().unwrap().unwrap().starts_with("{\"refused\":"));
    }
    let mut long = connect();
    for _ in 0..10 {
        long.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    long.shutdown(Shutdown::Write).unwrap();
    let mut reply = String::new();
    long.read_to_string(&mut reply).unwrap();
    assert!(reply.contains("at most 65536 bytes"), "{reply}");
    assert_eq!(ask(show.stage(), &["status"]).code, Some(0));
    others.finish(&show);
    show.stop();
}

#[test]
fn another_user_is_refused() {
    if !nix::unistd::Uid::effective().is_root() {
        mm_tests::skip!("only root can become another user");
    }
    let show = run("[map]\nnet./in > net./out");
    let socket = socket(&show);
    let client = |uid: u32| {
        let script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
            s.sendall(b'{\"verb\":\"status\"}\\n'); print(s.recv(65536).decode())";
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(&socket).uid(uid).current_dir("/");
        match python.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("the tests need `python3`"),
            output => String::from_utf8_lossy(&output.unwrap().stdout).into_owned(),
        }
    };
    assert!(client(0).contains("\"status\""));
    assert_eq!(client(65_534), "", "the socket's directory admits no other user");
    for (path, mode) in
        [(show.stage().directory(), 0o755), (socket.parent().unwrap(), 0o755), (&socket, 0o666)]
    {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let said = client(65_534);
    assert!(said.is_empty() || said.contains("this show belongs to user 0"), "{said}");
    assert!(!said.contains("\"status\""), "{said}");
    assert_eq!(ask(show.stage(), &["status"]).code, Some(0));
    show.stop();
}
