//! Faults `signals-inherited`, `limits-of-the-unit`, `child-interrupted` and `forked-child`: what a
//! process has from the one that started it, from the launcher of the supervisor to the programs
//! that a script starts.

use crate::{assert_serves, finish, run};
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{Event, Running, TestShow, other_user, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::process::Command;

const SCRIPT: &str = "
    import midimonster
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./ask > py.h.ask\npy.answer > net./answer";

/// A show that `launcher` starts, to which the program is appended.
fn launched(launcher: &[&str]) -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(&format!("[python py]\nmodule = h\n[map]\n{MAPPINGS}"));
    let direct = stage.show_command();
    let mut command = Command::new(launcher[0]);
    command.args(&launcher[1..]).arg(direct.get_program()).args(direct.get_args());
    for (name, value) in direct.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    show
}

#[test]
fn a_launcher_that_ignores_or_blocks_signals_does_not_change_the_show() {
    let ignored = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
        signal.signal(signal.SIGTERM, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])";
    let blocked = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); \
        os.execvp(sys.argv[1], sys.argv[1:])";
    for launcher in [ignored, blocked] {
        let show = launched(&["python3", "-c", launcher]);
        assert_serves(&show);
        show.worker("py").signal(Signal::SIGKILL);
        show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
        show.stop();
    }
    let show = launched(&["python3", "-c", blocked]);
    show.signal(Signal::SIGINT);
    assert!(show.wait_for_end().status.success());
}

/// Soft and hard limit of a process.
fn limit(process: Process, name: &str) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.pid)).expect("a process of our own");
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect("a limit");
    let mut values = line.split_whitespace().map(str::to_owned);
    (values.next().expect("a soft limit"), values.next().expect("a hard limit"))
}

fn pair(soft: &str, hard: &str) -> (String, String) {
    (soft.to_owned(), hard.to_owned())
}

#[test]
fn the_supervisor_may_have_many_descriptors_and_workers_what_they_would_have_had() {
    let show = launched(&["prlimit", "--nofile=512:4096"]);
    for process in [show.process(), show.reaper()] {
        assert_eq!(limit(process, "Max open files"), pair("4096", "4096"));
    }
    assert_eq!(limit(show.worker("py"), "Max open files"), pair("512", "4096"));
    show.stop();
}

/// Nice value and class of scheduling.
fn scheduling(process: Process) -> (i32, i32) {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).expect("a process of our own");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    (fields[16].parse().expect("a nice value"), fields[38].parse().expect("a class"))
}

fn oom_score(process: Process) -> String {
    let path = format!("/proc/{}/oom_score_adj", process.pid);
    fs::read_to_string(path).expect("a process of our own").trim().to_owned()
}

/// Whether this user may start a program in this way. A way that is not permitted is added to
/// `refused`.
fn is_permitted(launcher: &[&str], refused: &mut Vec<String>) -> bool {
    let outcome = Command::new(launcher[0]).args(&launcher[1..]).arg("true").output();
    // `nice` only complains, and starts the program all the same.
    let permitted = outcome.is_ok_and(|output| output.status.success() && output.stderr.is_empty());
    if !permitted {
        refused.push(format!("`{}`", launcher.join(" ")));
    }
    permitted
}

#[test]
fn workers_do_not_get_the_limits_that_the_unit_gives_to_the_supervisor() {
    let mut refused = Vec::new();
    for launcher in [["prlimit", "--rtprio=20:20"], ["prlimit", "--nice=35:35"]] {
        if is_permitted(&launcher, &mut refused) {
            let show = launched(&launcher);
            let worker = show.worker("py");
            assert_eq!(limit(worker, "Max realtime priority"), pair("0", "0"));
            let (soft, hard) = limit(worker, "Max nice priority");
            assert!([soft, hard].iter().all(|limit| limit.parse::<u32>().is_ok_and(|limit| limit <= 20)));
            show.stop();
        }
    }
    if !refused.is_empty() {
        mm_tests::skip!("in part: this user may not use {}", refused.join(" and "));
    }
}

#[test]
fn workers_do_not_get_the_priority_of_the_supervisor_and_give_way_as_it_does() {
    let mut refused = Vec::new();
    let protected = "echo -500 > /proc/self/oom_score_adj && exec \"$0\" \"$@\"";
    let launcher = ["sh", "-c", protected];
    if is_permitted(&launcher, &mut refused) {
        let show = launched(&launcher);
        assert_eq!((oom_score(show.process()), oom_score(show.worker("py"))), ("-500".into(), "0".into()));
        show.stop();
    }
    let launcher = ["nice", "-n", "-5"];
    if is_permitted(&launcher, &mut refused) {
        let show = launched(&launcher);
        assert!(scheduling(show.process()).0 < 0);
        assert_eq!(scheduling(show.worker("py")), (0, 0));
        show.stop();
    }
    let launcher = ["chrt", "--fifo", "1"];
    if is_permitted(&launcher, &mut refused) {
        let show = launched(&launcher);
        assert_eq!((scheduling(show.process()).1, scheduling(show.worker("py")).1), (1, 0));
        show.stop();
    }
    let show = launched(&["nice", "-n", "7"]);
    assert_eq!(scheduling(show.worker("py")), scheduling(show.process()));
    show.stop();
    if !refused.is_empty() {
        mm_tests::skip!("in part: this user may not use {}", refused.join(" and "));
    }
}

#[test]
fn workers_of_an_ordinary_user_do_not_get_the_capability_to_take_a_priority() {
    if !other_user::is_root() {
        mm_tests::skip!("only root can give a capability away");
    }
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(&format!("[python py]\nmodule = h\n[map]\n{MAPPINGS}"));
    let stage = match stage.hand_over(61_184) {
        Ok(stage) => stage,
        Err(reason) => mm_tests::skip!("another user cannot start the programs: {reason}"),
    };
    let direct = stage.show_command();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=61184", "--regid=61184", "--clear-groups", "--inh-caps=+sys_nice,+net_raw"]);
    command.args(["--ambient-caps=+sys_nice,+net_raw"]).arg(direct.get_program()).args(direct.get_args());
    for (name, value) in direct.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    let ambient = |process: Process| process.status("CapAmb").expect("a process of our own");
    let (sys_nice, net_raw) = (1_u64 << 23, 1 << 13);
    assert_eq!(ambient(show.process()), format!("{:016x}", sys_nice | net_raw));
    assert_eq!(ambient(show.worker("py")), format!("{net_raw:016x}"));
    show.stop();
}

#[test]
fn a_program_that_a_script_starts_can_be_interrupted_and_a_worker_cannot() {
    let script = "
        import os, signal, subprocess, time, midimonster
        def ask(value):
            midimonster.output('answer', value)
        def start(value):
            wait = 'import time; print(1, flush=True); time.sleep(3600)'
            program = subprocess.Popen(['python3', '-c', wait], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            program.stdout.read(1)
            program.send_signal(signal.SIGINT)
            print('program ended', program.wait())
            ready, is_ready = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(is_ready, b'1')
                time.sleep(3600)
            os.read(ready, 1)
            os.kill(child, signal.SIGINT)
            print('child ended', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    ";
    let mappings = format!("{MAPPINGS}\nnet./start > py.h.start");
    let (show, others) = run(script, "", &mappings);
    let worker = show.worker("py");
    worker.signal(Signal::SIGINT);
    assert_serves(&show);
    show.send("/start", &[F(0.5)]);
    show.wait_for(Event::printed("py", "program ended -2"));
    show.wait_for(Event::printed("py", "child ended -2"));
    show.send("/ask", &[F(0.25)]);
    show.expect("/answer", &[F(0.25)]);
    assert!(worker.is_alive());
    finish(show, others);
}

#[test]
fn a_forked_child_ends_as_python_would_end_it() {
    let script = "
        import os, sys, midimonster
        def ask(value):
            midimonster.output('answer', value)
        def end(how):
            if how == 'exit':
                sys.exit(7)
            if how == 'raise':
                raise RuntimeError('on purpose')
            sys.stdout.write('returned')
        def fork(value):
            for how in ['exit', 'raise', 'return']:
                child = os.fork()
                if child == 0:
                    return end(how)
                print(how, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if os.fork() == 0:
            sys.exit('at import')
    ";
    let mappings = format!("{MAPPINGS}\nnet./fork > py.h.fork");
    let (show, others) = run(script, "", &mappings);
    show.wait_for(Event::printed("py", "at import"));
    show.send("/fork", &[F(0.5)]);
    for text in ["exit 7", "RuntimeError: on purpose", "raise 1", "return 0"] {
        show.wait_for(Event::named("script_printed").instance("py").message(text));
    }
    wait_until("what a child has left in its buffer", || show.log().text().contains("returned"));
    assert_serves(&show);
    assert_eq!(show.log().count(Event::named("import_failed")), 0);
    finish(show, others);
}
