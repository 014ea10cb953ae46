//! Threads, asyncio, forks, signals and compiled modules in a script.

use crate::rig::Script;

#[test]
fn output_from_many_threads_arrives_complete_and_each_threads_in_order() {
    let code = "
import midimonster as m, threading
def work(name):
    for i in range(5000):
        m.output(name, i / 5000)
def f(v):
    for name in ('a', 'b', 'c', 'd'):
        threading.Thread(target=work, args=(name,)).start()
";
    let mut worker = Script::new(code, &["h.f", "a", "b", "c", "d"]).slots(16, 16).serve();
    worker.send("h.f", 1.0);
    let mut next = [0u32; 5];
    for _ in 0..20_000 {
        let event = worker.event();
        let count = &mut next[event.channel.index()];
        assert_eq!(event.value, f64::from(*count) / 5000.0);
        *count += 1;
    }
    assert_eq!(next, [0, 5000, 5000, 5000, 5000]);
}

#[test]
fn threads_run_while_the_instance_waits_and_while_it_is_flooded() {
    let code = "
import midimonster as m, threading, time
count = 0
stop = False
def work():
    global count
    while not stop:
        count += 1
threading.Thread(target=work, daemon=True).start()
def f(v): pass
def g(v):
    global stop
    stop = True
    print(count > 0)
";
    let mut worker = Script::new(code, &["h.f", "h.g"]).serve();
    for _ in 0..20_000 {
        worker.send("h.f", 1.0);
    }
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "True");
}

#[test]
fn asyncio_in_a_thread_works() {
    let code = "
import asyncio, threading
import midimonster as m
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
async def answer(v):
    await asyncio.sleep(0.01)
    m.output('out', v / 2)
def f(v):
    asyncio.run_coroutine_threadsafe(answer(v), loop)
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    worker.send("h.f", 0.5);
    assert_eq!(worker.output(), ("out".into(), 0.25));
}

#[test]
fn ctypes_and_c_output_work() {
    let code = "
import ctypes
libc = ctypes.CDLL(None)
def f(v):
    print(libc.abs(-7))
    libc.printf(b'from c\\n')
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "7");
    assert_eq!(worker.line(), "from c");
}

#[test]
fn a_forked_child_is_not_the_instance() {
    let code = "
import midimonster as m, os
def f(v):
    pid = os.fork()
    if pid == 0:
        try:
            m.output('out', 0.5)
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    m.output('out', 1.0)
";
    let mut worker = Script::new(code, &["h.f", "out"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "7");
    assert_eq!(worker.output(), ("out".into(), 1.0));
}

#[test]
fn a_forked_child_can_be_terminated_and_does_not_serve_when_it_returns() {
    let code = "
import midimonster as m, multiprocessing, os, time
def f(v):
    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,))
    child.start()
    child.terminate()
    child.join()
    print(child.exitcode)
def g(v):
    pid = os.fork()
    if pid:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
def h(v): print('once')
";
    let mut worker = Script::new(code, &["h.f", "h.g", "h.h"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "-15");
    worker.send("h.g", 1.0);
    assert_eq!(worker.line(), "0");
    worker.send("h.h", 1.0);
    assert_eq!(worker.line(), "once");
}

#[test]
fn multiprocessing_and_subprocesses_find_their_python() {
    let code = "
import multiprocessing, subprocess, sys
def f(v):
    print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.version)'], capture_output=True, text=True).stdout.strip() == sys.version)
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        print(pool.map(abs, [-3]))
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "True");
    assert_eq!(worker.line(), "[3]");
}

#[test]
fn a_signal_handler_of_the_script_runs_while_the_instance_sleeps() {
    let code = "
import signal, os
signal.signal(signal.SIGUSR1, lambda *a: print('signal'))
print('set')
";
    let mut worker = Script::new(code, &["h.f"]).serve();
    assert_eq!(worker.line(), "set");
    worker.until("it sleeps", |worker| {
        worker.end.progress.activity().activity == Some(mm_shared::Activity::Idle)
    });
    worker.signal(nix::sys::signal::Signal::SIGUSR1);
    assert_eq!(worker.line(), "signal");
}

#[test]
fn ctrl_c_is_ignored() {
    let mut worker = Script::new("def f(v): print('alive')", &["h.f"]).serve();
    worker.signal(nix::sys::signal::Signal::SIGINT);
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "alive");
}
