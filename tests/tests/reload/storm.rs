//! Fault `reload-storm`: hundreds of reloads at once, and many instances whose shared file is saved.
//! Workers and descriptors stay few, each client gets the outcome of a reload that began after its
//! request, and the others go on.

use crate::{MAPPINGS, assert_answers, finish, run, script};
use mm_tests::control::socket;
use mm_tests::osc::F;
use mm_tests::processes::tagged;
use mm_tests::{BackgroundTraffic, Control, Event, Running, TestShow, wait_until};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The workers of a small show in a storm: those of the one instance, of the others, and a spare.
const WORKERS_LIMIT: usize = 8;

/// Descriptors of the supervisor that these workers and 64 clients may need.
const DESCRIPTORS_LIMIT: usize = 300;

fn workers(show: &Running) -> usize {
    tagged(show.stage().tag()).iter().filter(|process| process.name() == "mm-worker").count()
}

/// Watches workers and descriptors of a show while something is done to it.
fn assert_bounded<T>(show: &Running, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    let watch = || {
        let (mut most_workers, mut most_descriptors) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            most_workers = most_workers.max(workers(show));
            most_descriptors = most_descriptors.max(show.process().descriptors().len());
        }
        (most_workers, most_descriptors)
    };
    thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let outcome = act();
        is_over.store(true, Ordering::Relaxed);
        let (workers, descriptors) = watcher.join().expect("it only looks");
        assert!(workers <= WORKERS_LIMIT, "{workers} workers");
        assert!(descriptors <= DESCRIPTORS_LIMIT, "{descriptors} descriptors");
        outcome
    })
}

#[test]
fn each_of_very_many_reloads_at_once_has_the_outcome_of_one_that_began_after_it() {
    let (show, others) = run("");
    let mut clients: Vec<Control> = (0..50).map(|_| show.control()).collect();
    let reload = json!({ "verb": "reload", "instances": ["py"] });
    assert_bounded(&show, || {
        for _ in 0..6 {
            clients.iter_mut().for_each(|client| client.send(&reload));
        }
        show.stage().replace("h.py", &script("two"));
        assert_eq!(show.control().act("reload", "py")["ok"], true);
        assert_answers(&show, "/two", 0.5);
        for client in &mut clients {
            for _ in 0..6 {
                let done = client.receive();
                assert_eq!(done["done"][0]["ok"], true, "{done}");
            }
        }
    });
    assert_answers(&show, "/two", 0.75);
    finish(show, others);
}

#[test]
fn a_reload_that_waits_for_an_older_import_imports_what_was_written_since() {
    let (show, others) = run("");
    let slow = "import os, time\nprint('importing')\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n";
    show.stage().replace("h.py", &format!("{slow}{}", script("one")));
    let (mut first, mut second) = (show.control(), show.control());
    let reload = json!({ "verb": "reload", "instances": ["py"] });
    first.send(&reload);
    show.wait_for(Event::printed("py", "importing"));
    show.stage().replace("h.py", &script("two"));
    second.send(&reload);
    show.stage().write("go", "");
    assert_eq!(first.receive()["done"][0]["ok"], true);
    assert_eq!(second.receive()["done"][0]["ok"], true);
    assert_answers(&show, "/two", 0.5);
    show.wait_for(Event::named("worker_ready").instance("py").message("reloaded"));
    finish(show, others);
}

#[test]
fn instances_that_share_a_file_reload_a_few_at_a_time_when_it_is_saved() {
    const COUNT: usize = 12;
    let stage = TestShow::new();
    stage.python("name.py", "name = 'one'\n");
    let text = "
        import midimonster, name
        def ask(value):
            midimonster.output(name.name, value)
    ";
    stage.python("h.py", text);
    let instance = |index| format!("[python py{index}]\nmodule = h\nwatch = on\n");
    let instances: String = (0..COUNT).map(instance).collect();
    let mapping =
        |index| MAPPINGS.replace("py.", &format!("py{index}.")).replace("/ask", &format!("/ask{index}"));
    let mappings: String = (0..COUNT).map(mapping).collect();
    BackgroundTraffic::show(&stage, &format!("{instances}[map]\n{mappings}"));
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    let serving = workers(&show);
    show.stage().replace("name.py", "name = 'two'\n");
    let ready = Event::named("worker_ready").message("reloaded");
    let mut most = 0;
    wait_until("all instances to be reloaded", || {
        most = most.max(workers(&show));
        show.log().count(ready.clone()) == COUNT
    });
    assert!(most <= serving + WORKERS_LIMIT, "{most} workers, {serving} before");
    for (index, value) in (1_u8..).take(COUNT).map(|number| f32::from(number) / 16.0).enumerate() {
        show.send(&format!("/ask{index}"), &[F(value)]);
        show.expect("/two", &[F(value)]);
    }
    finish(show, others);
}

/// A connection that has sent a megabyte of reloads, as far as the show takes them.
fn flooding(show: &Running) -> UnixStream {
    let mut stream = UnixStream::connect(socket(show)).expect("a running show listens");
    let line = format!("{}\n", json!({ "verb": "reload", "instances": ["py"] }));
    stream.set_nonblocking(true).expect("a socket");
    // What does not fit stays unsent: the show reads no request before the last one is answered.
    let _ = stream.write_all(line.repeat((1 << 20) / line.len()).as_bytes());
    stream.set_nonblocking(false).expect("a socket");
    stream
}

#[test]
fn clients_that_flood_the_show_with_reloads_and_hang_up_cost_a_few_of_them() {
    let (show, others) = run("");
    assert_bounded(&show, || {
        for _ in 0..50 {
            drop(flooding(&show));
        }
        assert_eq!(show.control().act("reload", "py")["ok"], true);
    });
    assert_answers(&show, "/one", 0.5);
    finish(show, others);
}

#[test]
fn a_show_that_is_flooded_with_reloads_ends_when_asked_to() {
    let (show, others) = run("");
    let mut floods: Vec<UnixStream> = (0..20).map(|_| flooding(&show)).collect();
    for stream in &mut floods {
        stream.read_exact(&mut [0; 1]).expect("the outcome of a reload");
    }
    others.abandon();
    show.stop();
}
