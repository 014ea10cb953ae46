//! Faults `dies-while-writing`, `random-writes`, `cursor-wrecked` and `segments-changed`: a worker
//! that writes over the shared memory, as a wild pointer of compiled code would.

use crate::{finish, run};
use mm_tests::osc::{F, Message};
use mm_tests::{BackgroundTraffic, Event, Running, wait_until};
use std::fs;
use std::time::Duration;

const MAPPINGS: &str = "net./harm > py.h.harm\nnet./ask > py.h.ask\npy.answer > net./answer\npy.x > net./x";

/// Finds the mapping of the segment that the worker writes, and the descriptors of both.
const COMMON: &str = "
import ctypes, fcntl, midimonster, mmap, os, random, signal, struct, threading, time
def mapping(name):
    for line in open('/proc/self/maps'):
        if name in line:
            start, end = (int(text, 16) for text in line.split()[0].split('-'))
            return start, end - start
def descriptor(name):
    for number in os.listdir('/proc/self/fd'):
        try:
            if name in os.readlink('/proc/self/fd/' + number):
                return int(number)
        except OSError:
            pass
    start, length = mapping(name)
    return os.open(f'/proc/self/map_files/{start:x}-{start + length:x}', os.O_RDWR)
up, length = mapping('mm-up')
def ask(value):
    midimonster.output('answer', value)
";

fn start(script: &str) -> (Running, BackgroundTraffic) {
    run(&format!("{COMMON}{script}"), "watchdog = 1s\nbackoff = 1ms\nbackoff-max = 10ms", MAPPINGS)
}

/// Asks until the instance answers, whatever it is going through.
fn assert_serves_again(show: &Running, value: f32) {
    let answer = Message { path: "/answer".into(), arguments: vec![F(value)] };
    wait_until("an answer", || {
        show.send("/ask", &[F(value)]);
        let received = || show.peer().receive_within(Duration::from_millis(100));
        std::iter::from_fn(received).any(|message| message == answer)
    });
}

/// Sends seeds to a script that does harm with each, and sees it recover every time.
fn assert_survives(harm: &str) {
    let (show, others) = start(harm);
    let mut control = show.control();
    for seed in 1..=60_u16 {
        let value = f32::from(seed) / 64.0;
        show.send("/harm", &[F(value)]);
        // Looks at all that the worker says of itself.
        control.standing("py");
        assert_serves_again(&show, value);
    }
    let ended = finish(show, others);
    assert_eq!(ended.log.count(Event::named("thread_panicked")), 0);
    // Other processes have no log of their own to put a panic into.
    assert_eq!(ended.text.matches("panicked").count(), 0);
}

#[test]
fn random_bytes_at_any_place_of_the_segment_harm_that_worker_alone() {
    assert_survives(
        "
def harm(value):
    chance = random.Random(value)
    for _ in range(chance.choice([1, 10, 1000])):
        count = chance.choice([1, 8, 64])
        at = chance.randrange(length - count)
        ctypes.memmove(up + at, chance.randbytes(count), count)
        time.sleep(0.0001)
",
    );
}

#[test]
fn random_bytes_over_its_cursors_and_claims_harm_that_worker_alone() {
    assert_survives(
        "
def harm(value):
    chance = random.Random(value)
    for _ in range(chance.choice([1, 10, 100])):
        at = chance.choice([0, 128, 256, 264, 384, 392, 2048, 2056, 2064, 2072])
        number = chance.choice([0, 1, chance.randrange(1 << 16), chance.getrandbits(63), (1 << 64) - 1])
        ctypes.memmove(up + at, struct.pack('<Q', number), 8)
        time.sleep(0.001)
",
    );
}

#[test]
fn a_thread_that_writes_random_bytes_all_the_time_harms_that_worker_alone() {
    let script = "
def scribble():
    chance = random.Random(7)
    while True:
        at = chance.choice([chance.randrange(4096), chance.randrange(length)]) & ~7
        ctypes.memmove(up + at, chance.randbytes(8), 8)
def harm(value):
    threading.Thread(target=scribble, daemon=True).start()
";
    let (show, others) = start(script);
    for round in 1..=10_usize {
        show.send("/harm", &[F(0.5)]);
        show.send("/ask", &[F(0.5)]);
        // Sooner or later it breaks a rule, or ends of itself.
        wait_until("the end of that worker", || {
            show.send("/ask", &[F(0.5)]);
            show.log().count(Event::named("worker_exited").instance("py")) >= round
        });
        show.log().wait_for_nth(round + 1, Event::named("worker_ready").instance("py"));
    }
    assert_serves_again(&show, 0.75);
    finish(show, others);
}

#[test]
fn an_event_whose_handler_wrecks_the_cursor_is_named_and_not_delivered_again() {
    let script = "
def harm(value):
    ctypes.memset(up, 255, length)
    os.kill(os.getpid(), signal.SIGSEGV)
";
    let (show, others) = start(script);
    let mut control = show.control();
    for (round, value) in [0.25, 0.5, 0.75].into_iter().enumerate() {
        show.send("/harm", &[F(value)]);
        show.send("/ask", &[F(value)]);
        let named = format!("while handling `h.harm` = {value} (the probable cause");
        show.wait_for(Event::named("worker_exited").instance("py").message(&named));
        show.log().wait_for_nth(round + 2, Event::named("worker_ready").instance("py"));
        // One question for each answer: what the worker took before the harm has to be known.
        assert_eq!(show.peer().receive(), Message { path: "/answer".into(), arguments: vec![F(value)] });
        let status = control.standing("py");
        assert_eq!(status["errors"], 0, "{status}");
        assert_eq!(status["restarts"], round + 1, "{status}");
    }
    finish(show, others);
}

#[test]
fn a_record_that_was_not_published_is_not_delivered() {
    // Records of 0.75 in every slot, as if the worker had died between writing one and saying so.
    let script = "
def harm(value):
    midimonster.output('x', 0.25)
    record = struct.pack('<Qd', midimonster.channels().index('x'), 0.75)
    for slot in range(1, (length - 4096) // 16):
        ctypes.memmove(up + 4096 + slot * 16, record, 16)
    os.kill(os.getpid(), signal.SIGKILL)
";
    let (show, others) = start(script);
    show.send("/harm", &[F(0.5)]);
    // What was published before is delivered, and nothing else.
    assert_eq!(show.peer().receive(), Message { path: "/x".into(), arguments: vec![F(0.25)] });
    let exited = Event::named("worker_exited").instance("py");
    show.wait_for(exited.message("killed by SIGKILL while handling `h.harm` = 0.5"));
    show.send("/ask", &[F(0.125)]);
    assert_eq!(show.peer().receive(), Message { path: "/answer".into(), arguments: vec![F(0.125)] });
    finish(show, others);
}

#[test]
fn half_a_record_that_is_not_what_a_record_can_be_ends_that_worker_and_is_not_delivered() {
    // Published, but with half of what should be in it.
    let script = "
def harm(value):
    published = struct.unpack('<Q', ctypes.string_at(up, 8))[0]
    slot = published % ((length - 4096) // 16)
    ctypes.memmove(up + 4096 + slot * 16, b'\\xff' * 8, 8)
    ctypes.memmove(up, struct.pack('<Q', published + 1), 8)
    os.kill(os.getpid(), signal.SIGKILL)
";
    let (show, others) = start(script);
    show.send("/harm", &[F(0.5)]);
    show.wait_for(Event::named("worker_exited").instance("py"));
    show.log().wait_for_nth(2, Event::named("worker_ready").instance("py"));
    show.send("/ask", &[F(0.125)]);
    assert_eq!(show.peer().receive(), Message { path: "/answer".into(), arguments: vec![F(0.125)] });
    finish(show, others);
}

/// Whether this user may open what a process has mapped, which is how these scripts reach segments
/// whose descriptors are closed.
fn may_open_mappings() -> bool {
    let entries = fs::read_dir("/proc/self/map_files").into_iter().flatten().flatten();
    let mut opened = entries.map(|entry| fs::File::open(entry.path()).is_ok());
    opened.next().unwrap_or(false)
}

#[test]
fn the_kernel_refuses_to_shorten_lengthen_or_write_what_is_not_the_workers() {
    if !may_open_mappings() {
        mm_tests::skip!("only root may open `/proc/self/map_files`");
    }
    let script = "
def attempt(what, act):
    try:
        act()
        print(what, 'done')
    except OSError as error:
        print(what, 'refused', error.errno)
def harm(value):
    for name in ('mm-up', 'mm-down'):
        file, size = descriptor(name), mapping(name)[1]
        attempt(name + ' shortened', lambda: os.ftruncate(file, 0))
        attempt(name + ' lengthened', lambda: os.ftruncate(file, 2 * size))
        attempt(name + ' punched', lambda: punch(file, size))
        attempt(name + ' unsealed', lambda: fcntl.fcntl(file, 1033, 0x10))
    attempt('mm-down mapped', lambda: mmap.mmap(descriptor('mm-down'), 4096))
    attempt('mm-down written', lambda: os.pwrite(descriptor('mm-down'), b'x' * 8, 0))
    attempt('mm-down unprotected', unprotect)
libc = ctypes.CDLL(None, use_errno=True)
def checked(outcome):
    if outcome:
        raise OSError(ctypes.get_errno(), 'refused')
def punch(file, size):
    # A hole in the worker's own segment would only be zeros.
    if mapping('mm-down')[1] and 'mm-down' in os.readlink(f'/proc/self/fd/{file}'):
        checked(libc.fallocate(file, 3, ctypes.c_long(0), ctypes.c_long(size)))
    else:
        raise OSError(0, 'its own')
def unprotect():
    start, size = mapping('mm-down')
    checked(libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(size), 3))
";
    let (show, others) = start(script);
    let worker = show.worker("py");
    show.send("/harm", &[F(0.5)]);
    show.wait_for(Event::printed("py", "mm-down unprotected"));
    let attempts = show.log().all(Event::printed("py", "mm-"));
    assert_eq!(attempts.len(), 11, "{attempts:?}");
    let done: Vec<_> = attempts.iter().filter(|attempt| !attempt.message.contains("refused")).collect();
    assert!(done.is_empty(), "{done:?}");
    assert_serves_again(&show, 0.5);
    assert_eq!(show.worker("py"), worker);
    finish(show, others);
}
