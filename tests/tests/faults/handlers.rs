//! Fault `handler-raises`: handlers that raise.

use crate::{assert_serves, finish, run};
use mm_tests::Event;
use mm_tests::osc::F;

const SCRIPT: &str = "
    import midimonster, os
    print('process', os.getpid())
    class Own(BaseException):
        pass
    class Nasty(Exception):
        def __str__(self):
            raise ValueError('cannot be shown')
    def plain(value):
        return 1 / 0
    def recurse(value):
        recurse(value)
    def starve(value):
        raise MemoryError('no memory left')
    def hog(value):
        bytearray(1 << 62)
    def leave(value):
        raise SystemExit(3)
    def interrupt(value):
        raise KeyboardInterrupt('by the script')
    def own(value):
        raise Own('of the script')
    def nasty(value):
        raise Nasty()
    def ask(value):
        midimonster.output('answer', value)
";

const FAULTS: [(&str, &str); 8] = [
    ("plain", "ZeroDivisionError"),
    ("recurse", "RecursionError"),
    ("starve", "MemoryError: no memory left"),
    ("hog", "in hog"),
    ("leave", "SystemExit: 3"),
    ("interrupt", "KeyboardInterrupt: by the script"),
    ("own", "Own: of the script"),
    ("nasty", "Nasty"),
];

#[test]
fn whatever_a_handler_raises_is_logged_and_the_instance_goes_on() {
    let mappings: String = FAULTS.map(|(name, _)| format!("net./{name} > py.h.{name}\n")).concat();
    let (show, others) = run(SCRIPT, "", &format!("{mappings}net./ask > py.h.ask\npy.answer > net./answer"));
    for (name, said) in FAULTS {
        show.send(&format!("/{name}"), &[F(0.5)]);
        let raised = Event::named("script_raised").instance("py").level("error");
        show.wait_for(raised.message(&format!("h.{name}")).field_part("traceback", said));
    }
    assert_serves(&show);
    assert_eq!(show.log().count(Event::printed("py", "process")), 1, "the worker was restarted");
    finish(show, others);
}

#[test]
fn intervals_and_socket_callbacks_may_raise_as_well() {
    let script = "
        import midimonster, socket
        ours, theirs = socket.socketpair()
        def tick():
            midimonster.interval(tick, 0)
            raise ValueError('in the interval')
        def readable(s):
            s.recv(10)
            raise ValueError('in the callback')
        midimonster.interval(tick, 5)
        midimonster.manage(readable, ours)
        theirs.send(b'x')
        def ask(value):
            midimonster.output('answer', value)
    ";
    let (show, others) = run(script, "", "net./ask > py.h.ask\npy.answer > net./answer");
    for said in ["ValueError: in the interval", "ValueError: in the callback"] {
        show.wait_for(Event::named("script_raised").instance("py").field_part("traceback", said));
    }
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn a_thread_that_raises_is_in_the_log() {
    let script = "
        import midimonster, threading
        def work():
            raise ValueError('in the thread')
        def go(value):
            threading.Thread(target=work).start()
        def ask(value):
            midimonster.output('answer', value)
    ";
    let (show, others) = run(script, "", "net./go > py.h.go\nnet./ask > py.h.ask\npy.answer > net./answer");
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "ValueError: in the thread"));
    assert_serves(&show);
    finish(show, others);
}
