//! What Python costs for each event: calling a handler, and `output()` into the ring.
//!
//! `cargo bench -p mm-worker`. One interpreter in this process, set up as a worker is, on real
//! segments; this process is the supervisor too and empties the ring. Allocations of the Rust code
//! are counted: there must be none. What Python allocates for itself is not.

#[path = "../src/exit.rs"]
#[allow(dead_code, reason = "the worker's modules refer to each other, and not all of them is measured")]
mod exit;

#[path = "../src/term.rs"]
#[allow(dead_code, reason = "the same")]
mod term;

#[path = "../src/link/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the same")]
mod link;

#[path = "../src/python/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the same")]
mod python;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use link::Outgoing;
use mm_shared::control::{BitSet, Boot, ChannelBoot, ImportMode, Module, NameAllowance};
use mm_shared::segments::adopt;
use mm_shared::{Activity, ChannelId, RingSizes, SupervisorEnd, create};
use pyo3::prelude::*;
use python::channels::Channels;
use python::cleanup::Cleanup;
use python::errors::ErrorReporter;
use python::handlers::Handlers;
use python::output::Output;
use python::sockets::Sockets;
use python::space::SpaceBell;
use python::timers::Timers;
use python::{Instance, activity, become_instance, interpreter, modules};
use std::cell::RefCell;
use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Turns of the loops in the script.
const TURNS: u32 = 1000;

/// The channels, by number; the first ones are handlers.
const CHANNELS: [&str; 5] = ["script.nothing", "script.echo", "script.send", "script.turns", "out"];

const SCRIPT: &str = "import midimonster\n\
    def nothing(v): pass\n\
    def echo(v): midimonster.output('out', v)\n\
    def send(v):\n    for i in range(1000): midimonster.output('out', v)\n\
    def turns(v):\n    for i in range(1000): pass\n";

/// What stays for all benches: an interpreter is started once in a process.
struct Set {
    supervisor: SupervisorEnd,
    handlers: Handlers,
}

thread_local! {
    static SET: RefCell<Option<Set>> = const { RefCell::new(None) };
}

fn main() {
    let set = set_up();
    SET.with_borrow_mut(|slot| *slot = Some(set));
    divan::main();
}

fn set_up() -> Set {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("script.py"), SCRIPT).expect("a file");
    // Python keeps the number of the descriptor for as long as there is a process
    let (wakeup, _) = Box::leak(Box::new(UnixStream::pair().expect("a pair of sockets")));
    wakeup.set_nonblocking(true).expect("a socket that does not block");
    interpreter::start(None, wakeup.as_raw_fd(), None).expect("an interpreter");
    let channel = |name: &&str| ChannelBoot { name: (*name).to_owned(), input: 0.0, output: 0.0 };
    let boot = Boot {
        instance: "bench".into(),
        directory: directory.path().to_owned(),
        modules: vec![Module { text: "script".into(), directory: directory.path().to_owned() }],
        default_handler: None,
        channels: CHANNELS.iter().map(channel).collect(),
        mapped: CHANNELS.len() as u32,
        targets: BitSet::default(),
        allowance: NameAllowance::default(),
        import: ImportMode::Alone,
    };
    let (supervisor, _control, fds) = create(RingSizes::default()).expect("segments");
    let (end, control) = adopt(fds, RingSizes::default()).expect("segments");
    activity::install(end.progress);
    // No message is sent in these benches.
    let outgoing = Outgoing::start(control).expect("a thread");
    let space = SpaceBell::new(end.space).expect("a descriptor");
    Python::attach(|py| {
        let instance = Instance {
            channels: Channels::new(py, &boot).expect("channels"),
            output: Output::new(end.up, end.bell_from_worker, space, outgoing.clone()),
            timers: Timers::new().expect("a timer"),
            sockets: Sockets::new().expect("a descriptor"),
            cleanup: Cleanup::default(),
            errors: ErrorReporter::new(outgoing.clone()),
            outgoing,
        };
        let instance = become_instance(instance);
        modules::import_all(py, &boot, &HashSet::new()).expect("the script can be imported");
        let (handlers, _) = Handlers::find(py, instance, &boot);
        instance.output.start(py, instance.channels.values());
        Set { supervisor, handlers }
    })
}

/// Calls a handler as the main loop does, and empties the ring afterwards.
fn call(bencher: Bencher, channel: u32, items: u32) {
    SET.with_borrow_mut(|set| {
        let Set { supervisor, handlers } = set.as_mut().expect("set up in `main`");
        Python::attach(|py| {
            bencher.counter(ItemsCount::new(items)).bench_local(|| {
                let handler = handlers.get(ChannelId(channel)).expect("a handler").bind(py);
                activity::enter_handler(ChannelId(channel));
                let outcome = handler.call1((black_box(0.5),));
                activity::handled(100);
                activity::leave_handler();
                activity::enter(Activity::Idle, 0);
                let _ = supervisor.up.drain(usize::MAX, |event| {
                    black_box(event);
                });
                outcome.is_ok()
            });
        });
    });
}

#[divan::bench(sample_size = 1000)]
fn calling_a_handler_that_does_nothing(bencher: Bencher) {
    call(bencher, 0, 1);
}

#[divan::bench(sample_size = 1000)]
fn calling_a_handler_that_sends_what_came(bencher: Bencher) {
    call(bencher, 1, 1);
}

#[divan::bench(sample_size = 10)]
fn output_in_a_loop(bencher: Bencher) {
    call(bencher, 2, TURNS);
}

/// What of that is the loop.
#[divan::bench(sample_size = 10)]
fn the_loop_alone(bencher: Bencher) {
    call(bencher, 3, TURNS);
}
