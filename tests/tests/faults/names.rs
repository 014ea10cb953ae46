//! Fault `names-without-end`: a script makes up names of channels, as many and as long as it likes.

use crate::{finish, run};
use mm_tests::osc::F;
use mm_tests::{Event, Running, wait_until};

const MAPPINGS: &str = "net./kill > py.h.kill\nnet./ask > py.h.ask\npy.answer > net./answer";

const COMMON: &str = "
import fcntl, midimonster, os, stat, struct, time, zlib
def kill(value):
    os._exit(3)
def ask(value):
    midimonster.output('answer', value)
";

/// Each answer has another value: what does not change may not be sent.
fn assert_serves(show: &Running, round: usize) {
    let value = 1.0 / (round + 2) as f32;
    show.send("/ask", &[F(value)]);
    show.expect("/answer", &[F(value)]);
}

/// Ends the worker, and waits for the next one.
fn restart(show: &Running, ready: usize) {
    show.send("/kill", &[F(0.5)]);
    show.log().wait_for_nth(ready, Event::named("worker_ready").instance("py"));
}

#[test]
fn thirty_thousand_new_names_after_each_restart_are_served() {
    let script = "
start = time.monotonic_ns()
for number in range(30000):
    midimonster.output(f'{start}-{number}', 0.5)
print('known', midimonster.outputvalue(f'{start}-29999'))
";
    let (show, others) = run(&format!("{COMMON}{script}"), "backoff = 1ms\nbackoff-max = 1ms", MAPPINGS);
    for ready in 2..=6 {
        show.log().wait_for_nth(ready - 1, Event::printed("py", "known 0.5"));
        assert_serves(&show, ready);
        restart(&show, ready);
    }
    show.ask(&["reload", "py"]).assert(0, &[]);
    assert_serves(&show, 11);
    let ended = finish(show, others);
    for event in ["protocol_violated", "script_warned"] {
        assert_eq!(ended.log.count(Event::named(event)), 0, "{event}");
    }
}

#[test]
fn a_script_that_goes_on_beyond_its_allowance_gets_one_warning() {
    let script = "
for number in range(5000):
    midimonster.output(f'{number}-' + 'x' * 1010, 0.5)
for number in range(70000):
    midimonster.output(f'short-{number}', 0.5)
";
    let (show, others) = run(&format!("{COMMON}{script}"), "backoff = 1ms\nbackoff-max = 1ms", MAPPINGS);
    show.wait_for(Event::named("script_warned").instance("py"));
    assert_serves(&show, 12);
    restart(&show, 2);
    assert_serves(&show, 13);
    show.ask(&["reload", "py"]).assert(0, &[]);
    assert_serves(&show, 14);
    let ended = finish(show, others);
    assert_eq!(ended.log.count(Event::named("protocol_violated")), 0);
    assert_eq!(ended.log.count(Event::named("script_warned")), 3, "one of each worker");
}

/// Messages that the worker itself would not send, on its own control channel: names without a
/// bound, of megabytes.
#[test]
fn forged_names_of_megabytes_cost_that_worker_alone() {
    let script = "
def varint(number):
    if number < 251:
        return bytes([number])
    return b'\\xfb' + struct.pack('<H', number) if number < 65536 else b'\\xfc' + struct.pack('<I', number)
def frame(payload):
    fields = b'MMfw' + struct.pack('<II', 4, len(payload))
    return fields + struct.pack('<I', zlib.crc32(fields + payload)) + payload
def control():
    # The pipe that it writes without O_NONBLOCK, which doorbells have.
    for fd in range(3, 100):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode) and fcntl.fcntl(fd, fcntl.F_GETFL) & 0o7777 == os.O_WRONLY:
                yield fd
        except OSError:
            pass
def forge(value):
    name = b'n' * (4 << 20 if value > 0.4 else 900)
    for number in range(3, 65536):
        message = frame(bytes([4]) + varint(number) + varint(len(name) - 100) + name[:-100])
        for fd in controls:
            os.write(fd, message)
controls = list(control())
print('controls', len(controls))
";
    let mappings = format!("{MAPPINGS}\nnet./forge > py.h.forge");
    let (show, others) = run(&format!("{COMMON}{script}"), "backoff = 1ms\nbackoff-max = 1ms", &mappings);
    show.wait_for(Event::printed("py", "controls 1"));
    let before = show.process().memory();
    for (round, value) in [0.5, 0.25, 0.5, 0.25].into_iter().enumerate() {
        show.send("/forge", &[F(value)]);
        show.log().wait_for_nth(round + 1, Event::named("protocol_violated").instance("py"));
        show.log().wait_for_nth(round + 2, Event::named("worker_ready").instance("py"));
        assert_serves(&show, round);
    }
    let after = show.process().memory();
    assert!(after < before + (64 << 20), "{before} bytes before, {after} after");
    finish(show, others);
}

#[test]
fn a_state_file_full_of_names_is_served_and_bounded() {
    let script = "
start = time.monotonic_ns()
for number in range(60000):
    midimonster.output(f'{start}-{number}', 0.5)
print('names', len(midimonster.channels()))
";
    let stage = mm_tests::TestShow::new();
    stage.python("h.py", &format!("{COMMON}{script}"));
    stage.osc_show(&format!(
        "[supervisor]\nstate-file = state\n[python py]\nmodule = h\nbackoff = 1ms\n[map]\n{MAPPINGS}\n"
    ));
    let mut show = stage.run();
    let state = show.stage().directory().join("state");
    for round in 0..3 {
        show.wait_for(Event::printed("py", "names"));
        assert_serves(&show, round);
        wait_until("a state file with the names", || {
            std::fs::metadata(&state).is_ok_and(|file| file.len() > 1 << 20)
        });
        show.kill();
        show.assert_nothing_is_left();
        assert!(std::fs::metadata(&state).is_ok_and(|file| file.len() < 8 << 20));
        show = show.run_again();
    }
    assert_serves(&show, 15);
    let ended = show.stop();
    assert_eq!(ended.log.count(Event::named("protocol_violated")), 0);
}
