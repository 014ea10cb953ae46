//! Fault `disk-full`: a disk that is full, and a directory that is gone.

use crate::{assert_serves, failed_starts};
use mm_tests::osc::F;
use mm_tests::processes::Process;
use mm_tests::{BackgroundTraffic, Control, Event, Running, TestShow, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = "
    import midimonster
    def write(value):
        with open('full/file', 'ab') as file:
            file.write(b'x' * 4096)
    def ask(value):
        midimonster.output('answer', value)
";

const MAPPINGS: &str = "net./write > py.h.write\nnet./ask > py.h.ask\npy.answer > net./answer";

const INSTANCE: &str = "[python py]\nmodule = h\nbackoff = 10ms\nbackoff-max = 50ms\n";

/// A disk of 64 KiB and 24 files.
struct Disk(PathBuf);

impl Disk {
    /// `None` where it is not permitted.
    fn mount(directory: &Path) -> Option<Self> {
        fs::create_dir_all(directory).ok()?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,nr_inodes=24,mode=700", "none"])
            .arg(directory)
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(directory.to_owned()))
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("a file on the disk");
        while file.write_all(&[0; 1024]).is_ok() {}
    }

    /// Takes all names that are free at this moment.
    fn take_all_names(&self) {
        let names = self.0.join("names");
        fs::create_dir_all(&names).expect("a folder on the disk");
        let free = |number: &u32| fs::File::create_new(names.join(number.to_string())).is_ok();
        let taken = fs::read_dir(&names).map_or(0, |names| u32::try_from(names.count()).unwrap_or(0));
        (taken..).take_while(free).for_each(drop);
    }

    fn give_names_back(&self) {
        fs::remove_dir_all(self.0.join("names")).expect("a folder on the disk");
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("filler")).expect("a file on the disk");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn start(stage: TestShow, supervisor: &str) -> (Running, BackgroundTraffic) {
    stage.python("h.py", SCRIPT);
    BackgroundTraffic::show(
        &stage,
        &format!(
            "{supervisor}[python py]\nmodule = h\nbackoff = 10ms\nbackoff-max = 50ms\n[map]\n{MAPPINGS}\n"
        ),
    );
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    (show, others)
}

#[test]
fn on_a_full_disk_the_show_goes_on_and_keeps_its_state_as_soon_as_there_is_room() {
    let stage = TestShow::new();
    let Some(disk) = Disk::mount(&stage.directory().join("full")) else {
        mm_tests::skip!("this user may not mount a disk");
    };
    let (show, others) = start(stage, "[supervisor]\nstate-file = full/state\n");
    disk.fill();
    let _ = fs::remove_file(disk.0.join("state"));
    disk.fill();
    show.send("/ask", &[F(0.25)]);
    show.expect("/answer", &[F(0.25)]);
    show.wait_for(Event::named("state_write_failed").level("warn"));
    show.send("/write", &[F(0.5)]);
    show.wait_for(
        Event::named("script_raised").instance("py").field_part("traceback", "OSError: [Errno 28]"),
    );
    show.worker("py").signal(Signal::SIGKILL);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    assert_serves(&show);
    disk.clear();
    wait_until("a state file", || fs::metadata(disk.0.join("state")).is_ok_and(|file| file.len() > 0));
    others.finish(&show);
    show.stop();
    drop(disk);
}

/// Kills whatever worker `py` has until three could not be started: a spare that was on its way
/// when the hindrance began may still come to run.
fn kill_until_none_starts(show: &Running, mut control: Control) {
    wait_until("three starts that fail, and none that works", || {
        let status = control.standing("py");
        if let Some(worker) = status["pid"].as_i64().filter(|_| status["state"] == "running") {
            let worker = Pid::from_raw(i32::try_from(worker).expect("the number of a process"));
            let _ = kill(worker, Signal::SIGKILL);
        }
        failed_starts(show) >= 3
            && status["state"] == "backoff"
            && status["last_exit"]["reason"] != "killed by SIGKILL"
    });
}

/// Kills the worker of `py`; the next one serves.
fn assert_comes_back(show: &Running, control: &mut Control, value: f32) {
    let pid = control.standing("py")["pid"].clone();
    let number = pid.as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process");
    Process::of(number).expect("the worker").signal(Signal::SIGKILL);
    control.wait_for("another worker", "py", |py| py["state"] == "running" && py["pid"] != pid);
    show.send("/ask", &[F(value)]);
    show.expect("/answer", &[F(value)]);
}

#[test]
fn a_runtime_directory_that_is_full_or_removed_does_not_end_the_show() {
    let stage = TestShow::new();
    let runtime = stage.directory().join("runtime");
    let Some(disk) = Disk::mount(&runtime) else {
        mm_tests::skip!("this user may not mount a disk");
    };
    let (show, others) = start(stage, "");
    let mut control = show.control();
    // An answer, so that this client is connected before there is no room for anything.
    control.standing("py");
    disk.take_all_names();
    // The spare worker is the first to take the place of the one that dies. The others have no
    // place for their socket there, and find another one.
    for value in [0.25, 0.375, 0.625] {
        assert_comes_back(&show, &mut control, value);
    }
    disk.give_names_back();
    // The directory is removed: workers find another place for their sockets.
    let mut control = show.control();
    fs::remove_dir_all(runtime.join("mm-supervisor")).unwrap();
    for value in [0.5, 0.75] {
        assert_comes_back(&show, &mut control, value);
    }
    others.finish(&show);
    show.stop();
    drop(disk);
}

#[test]
fn a_show_whose_directory_is_removed_goes_on() {
    let stage = TestShow::new();
    stage.python("here/h.py", SCRIPT);
    BackgroundTraffic::show(&stage, &format!("{INSTANCE}[map]\n{MAPPINGS}\n"));
    let directory = stage.directory().join("here");
    for name in ["show.cfg", "steady.py"] {
        fs::rename(stage.directory().join(name), directory.join(name)).unwrap();
    }
    let command = stage.command(&["--log-format", "json", "--config", &stage.path("here/show.cfg")]);
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    let others = BackgroundTraffic::start(&show);
    let kept = show.stage().read("here/h.py");
    fs::remove_dir_all(&directory).unwrap();
    assert_serves(&show);
    kill_until_none_starts(&show, show.control());
    show.stage().write("here/h.py", kept);
    show.control().wait_for_state("py", "running");
    show.send("/ask", &[F(0.75)]);
    show.expect("/answer", &[F(0.75)]);
    others.finish(&show);
    show.stop();
}
