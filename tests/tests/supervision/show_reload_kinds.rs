//! Fault `first-of-a-backend`, and SIGHUP with every other kind of change: `[supervisor]`, global
//! options of a backend, includes, the last instance of a backend.

use super::show_reload::{SCRIPT, assert_answers, done, finish, reload, start};
use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow, wait_until};
use std::fs;
use std::net::UdpSocket;
use std::path::Path;

/// Puts options into `[supervisor]`, in front of the rest of the show.
fn with_supervisor(options: &'static str) -> impl Fn(&str) -> String {
    move |text| format!("[supervisor]\n{options}\n{text}")
}

/// The nice value of the supervisor's event loop, which is its main thread (proc(5),
/// `/proc/PID/stat`, field 19).
fn nice(show: &Running) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", show.process().pid)).expect("it runs");
    let behind_name = stat.rsplit(") ").next().expect("the name is in parentheses");
    behind_name.split(' ').nth(16).and_then(|field| field.parse().ok()).expect("a number")
}

#[test]
fn a_state_file_that_is_named_later_gets_the_values_of_the_running_show() {
    let (show, others) = start();
    reload(&show, with_supervisor("state-file = later.state"), &done());
    show.wait_for(Event::named("supervisor_options_applied").message("`state-file`"));
    wait_until("the state file", || show.stage().directory().join("later.state").exists());
    assert_answers(&show, "one", 0.5);
    finish(show, others);
}

#[test]
fn a_priority_that_is_named_later_is_that_of_the_loop() {
    let (show, others) = start();
    assert_eq!(nice(&show), 0);
    reload(&show, with_supervisor("priority = 5"), &done());
    show.wait_for(Event::named("supervisor_options_applied").message("`priority`"));
    assert_eq!(nice(&show), 5);
    finish(show, others);
}

#[test]
fn a_socket_that_is_named_later_needs_a_restart_and_the_log_says_so() {
    let (show, others) = start();
    reload(&show, with_supervisor("socket = other.sock"), &done());
    show.wait_for(Event::named("supervisor_option_not_applied").level("warn").field("option", "socket"));
    assert_answers(&show, "one", 0.5);
    finish(show, others);
}

#[test]
fn global_options_of_a_backend_apply_to_its_instances() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    reload(&show, |text| format!("{text}[backend osc]\ndetect = on\n"), &done());
    show.send("/unmapped", &[F(0.5)]);
    show.wait_for(Event::named("osc_message_detected").instance("net").message("/unmapped"));
    assert_answers(&show, "one", 0.5);
    assert_eq!(["one", "two"].map(|name| show.worker(name)), workers);
    others.abandon();
    show.stop();
}

#[test]
fn an_included_file_that_has_changed_is_read_again() {
    let (show, others) = start();
    show.stage().write("more.map", "net./more > one.h.ask\n");
    reload(&show, |text| format!("{text}[include more.map]\n"), &done());
    show.send("/more", &[F(0.75)]);
    show.expect("/from/one", &[F(0.75)]);
    show.stage().write("more.map", "net./more > two.h.ask\n");
    reload(&show, str::to_owned, &done());
    show.send("/more", &[F(0.375)]);
    show.expect("/from/two", &[F(0.375)]);
    finish(show, others);
}

#[test]
fn the_first_and_the_last_loopback_come_and_go() {
    let (show, others) = start();
    let direct = "net./one > one.h.ask\n";
    let through = "net./one > loop.x\nloop.x > one.h.ask\n";
    reload(&show, |text| format!("[loopback loop]\n{}", text.replace(direct, through)), &done());
    assert_answers(&show, "one", 0.5);
    let back = |text: &str| text.replace("[loopback loop]\n", "").replace(through, direct);
    reload(&show, back, &done());
    assert_answers(&show, "one", 0.75);
    finish(show, others);
}

/// What a show has as its first instances of `osc` and `midi`, and of the mappings from and to them.
const FIRST_OSC: &str = "[osc net]\nbind = $IN\ndest = $OUT\n/* = f 0 1\n/*/* = f 0 1\n";
const OSC_MAPPINGS: &str = "net./one > one.h.ask\none.answer > net./from/one\n";
const FIRST_MIDI: &str = "[midi pad]\nread = pad\n";
const MIDI_MAPPINGS: &str = "pad.ch0.cc1 > one.h.ask\n";

#[test]
fn the_first_and_the_last_osc_and_midi_instance_come_and_go() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let alone = "[python one]\nmodule = h\n[loopback loop]\n[map]\nloop.in > loop.out\n";
    stage.show(alone);
    let show = stage.run();
    let with = |sections: &str, mappings: &str| show.stage().fill(&format!("{sections}{alone}{mappings}"));
    // Only the worker that knows the new channels sends on them to other instances.
    let change = |sections: &str, mappings: &str| {
        reload(&show, |_| with(sections, mappings), &done());
        show.control().wait_for_state("one", "running");
    };
    // Each round is the first of its kind again: its ports are open, or closed, as at a start.
    for (round, value) in [(1, 0.5), (2, 0.75)] {
        change(FIRST_OSC, OSC_MAPPINGS);
        assert_answers(&show, "one", value);
        // There may be no MIDI system; the rest runs all the same.
        let both = [FIRST_OSC, FIRST_MIDI].concat();
        change(&both, &[OSC_MAPPINGS, MIDI_MAPPINGS].concat());
        show.control().standing("pad");
        assert_answers(&show, "one", value + 0.125);
        if !Path::new("/dev/snd/seq").exists() {
            show.log().wait_for_nth(round, Event::named("midi_unavailable").level("warn"));
        }
        change(FIRST_MIDI, MIDI_MAPPINGS);
        show.ask(&["status", "net"]).assert(1, &["`net`"]);
        wait_until("a free port", || UdpSocket::bind(show.stage().bind()).is_ok());
        change("", "");
        show.ask(&["status", "pad"]).assert(1, &["`pad`"]);
    }
    show.stop();
}

#[test]
fn the_last_script_goes_and_the_rest_of_the_show_goes_on() {
    let (show, others) = start();
    let workers = ["one", "two"].map(|name| show.worker(name));
    others.abandon();
    let without = |text: &str| {
        let text = text.split("[python one]").next().unwrap_or_default();
        format!("{text}[map]\nnet./in > net./out\n")
    };
    reload(&show, without, &done());
    wait_until("the end of the workers", || workers.iter().all(|worker| !worker.is_alive()));
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    show.stop();
}
