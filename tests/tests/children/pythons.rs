//! Fault `child-is-python`: children of a script that are a Python of their own import the script,
//! and with it `midimonster`.

use mm_tests::binaries::workspace;
use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow};
use std::process::Command;

/// Its module sets itself up as scripts do: a child that imports it does that again.
const SCRIPT: &str = "
    import concurrent.futures, multiprocessing, os, subprocess, sys
    from multiprocessing import shared_memory
    import midimonster

    def tick():
        pass
    midimonster.interval(tick, 1000)
    midimonster.output('set', 0.5)
    midimonster.cleanup_handler(tick)

    def square(number):
        return number * number
    def send(_):
        try:
            midimonster.output('answer', 1.0)
        except RuntimeError as error:
            return str(error)
    def put(queue, name):
        memory = shared_memory.SharedMemory(name)
        memory.buf[0] = 7
        memory.close()
        queue.put(midimonster.timestamp())

    def report(name, value):
        print(name, value, flush=True)
    def work(method):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            report(method + ' pool', pool.map(square, [1, 2, 3]))
            report(method + ' refusal', pool.apply(send, (0,)))
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
            report(method + ' executor', list(executor.map(square, [4])))
        memory = shared_memory.SharedMemory(create=True, size=16)
        queue = context.Queue()
        child = context.Process(target=put, args=(queue, memory.name))
        child.start()
        stamp = queue.get(timeout=60)
        child.join()
        report(method + ' process', (child.exitcode, memory.buf[0], 0 <= midimonster.timestamp() - stamp < 60000))
        memory.close()
        memory.unlink()

    def fork(value):
        work('fork')
    def spawn(value):
        work('spawn')
    def forkserver(value):
        work('forkserver')
    def program(value):
        code = 'import midimonster as m; print(m.timestamp() > 0); m.output(\"answer\", 1.0)'
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
        report('program', (done.returncode, done.stdout.strip(), done.stderr.strip().splitlines()[-1]))
    def ask(value):
        midimonster.output('answer', value)
";

fn run() -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let mappings: String = ["fork", "spawn", "forkserver", "program", "ask"]
        .map(|name| format!("net./{name} > py.h.{name}\n"))
        .concat();
    // The children import for a while on a busy machine, in the handler.
    stage.osc_show(&format!(
        "[python py]\nmodule = h\nwatchdog = off\n[map]\n{mappings}py.set > net./set\npy.answer > net./answer"
    ));
    let show = stage.run();
    show.expect("/set", &[F(0.5)]);
    show
}

fn assert_works(method: &str) {
    let show = run();
    show.send(&format!("/{method}"), &[F(1.0)]);
    for told in ["pool [1, 4, 9]", "executor [16]", "process (0, 7, True)"] {
        show.wait_for(Event::printed("py", &format!("{method} {told}")));
    }
    let refusal = show.wait_for(Event::printed("py", &format!("{method} refusal")));
    assert!(refusal.message.contains("instance"), "{}", refusal.message);
    // What the children did has not come through.
    show.send("/ask", &[F(0.25)]);
    show.expect("/answer", &[F(0.25)]);
    show.stop();
}

#[test]
fn children_that_are_forked_work() {
    assert_works("fork");
}

#[test]
fn children_that_are_spawned_work() {
    assert_works("spawn");
}

#[test]
fn children_of_a_fork_server_work() {
    assert_works("forkserver");
}

#[test]
fn a_python_that_a_script_runs_imports_the_module_and_cannot_send() {
    let show = run();
    show.send("/program", &[F(1.0)]);
    let told = show.wait_for(Event::printed("py", "program (1, 'True'")).message;
    assert!(told.contains("RuntimeError: midimonster.output()"), "{told}");
    show.stop();
}

#[test]
fn the_search_path_of_the_user_stays_in_front() {
    let stage = TestShow::new();
    stage.python("h.py", "import os\nprint('path', os.environ['PYTHONPATH'])");
    stage.osc_show("[python py]\nmodule = h\n[map]\n");
    let mut command = stage.show_command();
    command.env("PYTHONPATH", "/one:/two");
    let show = stage.start_command(command);
    let told = show.wait_for(Event::printed("py", "path ")).message;
    assert!(told.starts_with("path /one:/two:/") && told.ends_with("/python"), "{told}");
    show.stop();
}

#[test]
fn a_script_is_imported_and_tested_without_a_show() {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let test = "import h, midimonster\n\
                assert h.square(3) == 9 and 'instance' in h.send(0)\n\
                sent = []\n\
                midimonster.output = lambda name, value: sent.append((name, value))\n\
                h.ask(0.5)\n\
                assert sent == [('answer', 0.5)]";
    let done = Command::new("python3")
        .args(["-c", test])
        .env("PYTHONPATH", workspace().join("worker/python"))
        .current_dir(stage.directory())
        .output()
        .expect("the tests need `python3`");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
