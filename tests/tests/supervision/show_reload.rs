//! Faults `show-file-broken` and `changed-script-broken`, and every other way to reload a show with HUP: only what differs
//! changes.

use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Event, Running, TestShow, wait_until};
use nix::sys::signal::Signal;

pub const SCRIPT: &str = "
    import midimonster
    print('values', midimonster.inputvalue('h.ask'))
    def ask(value):
        midimonster.output('answer', value)
";

/// A script that also takes events of a channel that the show does not have yet.
const WITH_MORE: &str = "import midimonster
print('values', midimonster.inputvalue('h.ask'))
def ask(value):
    midimonster.output('answer', value)
def more(value):
    print('more', value)
";

pub const TEXT: &str = "[python one]\nmodule = h\n[python two]\nmodule = h\n[map]\n\
    net./one > one.h.ask\none.answer > net./from/one\nnet./two > two.h.ask\ntwo.answer > net./from/two\n";

pub fn start() -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    BackgroundTraffic::show(&stage, TEXT);
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    assert_answers(&show, "one", 0.25);
    assert_answers(&show, "two", 0.25);
    (show, others)
}

pub fn assert_answers(show: &Running, name: &str, value: f32) {
    show.send(&format!("/{name}"), &[F(value)]);
    show.expect(&format!("/from/{name}"), &[F(value)]);
}

/// Changes the show file, has it read again and waits for one more such event.
pub fn reload(show: &Running, change: impl Fn(&str) -> String, event: &Event) {
    let before = show.log().count(event.clone());
    show.stage().write("show.cfg", change(&show.stage().read("show.cfg")));
    show.signal(Signal::SIGHUP);
    show.log().wait_for_nth(before + 1, event.clone());
}

pub fn done() -> Event {
    Event::named("show_reloaded")
}

pub fn finish(show: Running, others: BackgroundTraffic) {
    assert_eq!(show.log().count(Event::named("worker_ready").instance("steady")), 1);
    others.finish(&show);
    show.stop();
}

#[test]
fn a_file_that_has_not_changed_changes_nothing() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    reload(&show, str::to_owned, &done());
    assert_answers(&show, "one", 0.5);
    assert_answers(&show, "two", 0.5);
    assert_eq!(["one", "two"].map(|name| show.worker(name)), workers);
    finish(show, others);
}

#[test]
fn errors_change_nothing_and_are_in_the_log() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    let broken =
        |text: &str| text.replace("[python two]\nmodule = h", "[python two]\nmodul = h\nwatchdog = soon");
    let failed = Event::named("show_reload_failed").level("error");
    reload(&show, broken, &failed);
    show.wait_for(failed.clone().field_part("report", "did you mean `module`?"));
    show.wait_for(failed.field_part("report", "watchdog = soon"));
    assert_answers(&show, "one", 0.5);
    assert_answers(&show, "two", 0.5);
    assert_eq!(["one", "two"].map(|name| show.worker(name)), workers);
    finish(show, others);
}

#[test]
fn an_instance_is_added_and_another_one_removed_while_the_rest_goes_on() {
    let (show, others) = start();
    let (one, two) = (show.worker("one"), show.worker("two"));
    let change = |text: &str| {
        text.replace("[python two]", "[python three]")
            .replace("two.", "three.")
            .replace("from/two", "from/three")
    };
    reload(&show, change, &done());
    show.wait_for(Event::named("worker_ready").instance("three"));
    show.send("/two", &[F(0.5)]);
    show.expect("/from/three", &[F(0.5)]);
    assert_answers(&show, "one", 0.5);
    assert_eq!(show.worker("one"), one);
    wait_until("the end of the removed worker", || !two.is_alive());
    show.ask(&["restart", "two"]).assert(1, &["`two`"]);
    finish(show, others);
}

#[test]
fn how_an_instance_is_supervised_changes_without_touching_its_process() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    let change =
        |text: &str| text.replace("[python one]\n", "[python one]\nrestart = never\nwatchdog = 1s\n");
    reload(&show, change, &done());
    assert_answers(&show, "one", 0.5);
    assert_eq!(["one", "two"].map(|name| show.worker(name)), workers);
    workers[0].signal(Signal::SIGKILL);
    show.control().wait_for_state("one", "failed");
    finish(show, others);
}

#[test]
fn an_instance_with_other_channels_is_reloaded() {
    let (show, others) = start();
    let (one, two) = (show.worker("one"), show.worker("two"));
    reload(&show, |text| format!("{text}net./more > two.more\n"), &done());
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("two"));
    assert_answers(&show, "two", 0.5);
    assert_eq!(show.worker("one"), one);
    wait_until("the end of the old worker", || !two.is_alive());
    finish(show, others);
}

#[test]
fn events_of_new_channels_wait_for_the_worker_that_knows_them_and_no_other_event_does() {
    let (show, others) = start();
    let two = show.worker("two");
    let slow = format!(
        "import os, time\nprint('importing')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n{}",
        WITH_MORE
    );
    show.stage().replace("h.py", &slow);
    let more = |text: &str| format!("{text}net./more > two.h.more\n");
    reload(&show, more, &done());
    show.wait_for(Event::printed("two", "importing"));
    for value in [0.125, 0.375] {
        show.send("/more", &[F(value)]);
    }
    assert_answers(&show, "two", 0.5);
    assert_eq!(show.worker("two"), two);
    show.stage().write("go", "");
    show.wait_for(Event::printed("two", "more 0.125"));
    show.wait_for(Event::printed("two", "more 0.375"));
    assert_answers(&show, "two", 0.75);
    finish(show, others);
}

#[test]
fn a_changed_script_that_cannot_be_imported_leaves_the_old_worker_with_what_it_had() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    show.stage().replace("h.py", WITH_MORE);
    show.stage().python("broken.py", "raise RuntimeError('on purpose')\n");
    let change = |text: &str| {
        let text = text
            .replace("[python two]\nmodule = h\n", "[python two]\nmodule = h\nmodule = broken\nwatch = on\n");
        format!("{text}net./more > two.h.more\n")
    };
    reload(&show, change, &done());
    show.wait_for(Event::named("reload_failed").instance("two"));
    assert_answers(&show, "two", 0.5);
    assert_eq!(["one", "two"].map(|name| show.worker(name)), workers);
    let mut control = show.control();
    let noted = |status: &serde_json::Value| {
        status["note"].as_str().is_some_and(|note| note.contains("RuntimeError"))
    };
    control.wait_for("the error to be in the status", "two", noted);
    // What ran before runs again after a crash.
    workers[1].signal(Signal::SIGKILL);
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("two"));
    assert_answers(&show, "two", 0.75);
    // Once it is corrected, the watch brings the new one, which gets what has waited for it.
    show.send("/more", &[F(0.125)]);
    show.stage().replace("broken.py", "corrected = True\n");
    show.wait_for(Event::printed("two", "more 0.125"));
    assert!(control.standing("two")["note"].is_null());
    finish(show, others);
}

#[test]
fn an_override_for_an_instance_that_is_gone_is_a_warning() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(TEXT);
    let path = stage.path("show.cfg");
    let show = stage.start_show_with(&["-i", "two.watchdog=4s", "--config", &path]);
    show.wait_for(Event::named("show_running"));
    let gone = |text: &str| {
        text.replace("[python two]\nmodule = h\n", "")
            .replace("net./two > two.h.ask\ntwo.answer > net./from/two\n", "")
    };
    reload(&show, gone, &done());
    show.wait_for(Event::named("show_file_warned").field_part("report", "`-i` for `two`"));
    assert_answers(&show, "one", 0.5);
    show.stop();
}

#[test]
fn a_file_that_never_ends_is_refused() {
    let (show, others) = start();
    let failed = Event::named("show_reload_failed").level("error");
    reload(&show, |text| format!("[include /proc/kmsg]\n{text}"), &failed);
    show.wait_for(failed.field_part("report", "not a regular file"));
    reload(&show, |text| text.replace("[include /proc/kmsg]\n", ""), &done());
    assert_answers(&show, "one", 0.5);
    finish(show, others);
}

#[test]
fn mappings_change_without_touching_instances_whose_channels_stay() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    reload(&show, |text| format!("{text}net./both > one.h.ask\nnet./both > two.h.ask\n"), &done());
    show.send("/both", &[F(0.5)]);
    let mut paths = [show.peer().receive().path, show.peer().receive().path];
    paths.sort();
    assert_eq!(paths, ["/from/one", "/from/two"]);
    assert_eq!(["one", "two"].map(|name| show.worker(name)), workers);
    finish(show, others);
}

#[test]
fn many_signals_at_once_end_with_the_file_as_it_is() {
    let (show, others) = start();
    for round in 0..20 {
        let text = show.stage().read("show.cfg");
        show.stage().replace("show.cfg", &format!("{text}net./round/{round} > one.h.ask\n"));
        show.signal(Signal::SIGHUP);
    }
    wait_until("the last mapping to work", || {
        show.send("/round/19", &[F(0.5)]);
        show.peer().receive_within(std::time::Duration::from_millis(50)).is_some()
    });
    finish(show, others);
}
