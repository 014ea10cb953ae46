//! Fault `descriptor-hangs-up`: a descriptor that a script has given to `manage` is gone, or its
//! callback does nothing about it.

use crate::{finish, run};
use mm_tests::Event;
use mm_tests::osc::F;

/// `calls` is counted by each kind of callback.
const SCRIPT: &str = "
    import midimonster, os, pty, socket
    calls = 0
    controller, device = pty.openpty()
    path = os.ttyname(device)
    class Port:
        def fileno(self):
            return controller
    def raises(port):
        global calls
        calls += 1
        print('read', os.read(controller, 100))
    def ignores(end):
        global calls
        calls += 1
    def unplug(value):
        midimonster.manage(raises, Port())
        os.close(device)
    def plug(value):
        global device
        device = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.write(device, b'back')
    def end(value):
        global ours
        ours, theirs = socket.socketpair()
        midimonster.manage(ignores, ours)
        theirs.close()
    def idle(value):
        global both
        both = socket.socketpair()
        midimonster.manage(ignores, both[0])
        both[1].send(b'never read')
    def count(value):
        global calls
        calls = 0
    def ask(value):
        midimonster.output('answer', value)
    def tell(value):
        print('calls:', calls)
";

const MAPPINGS: &str = "net./unplug > py.h.unplug\nnet./plug > py.h.plug\nnet./end > py.h.end\n\
    net./idle > py.h.idle\nnet./count > py.h.count\nnet./ask > py.h.ask\nnet./tell > py.h.tell\npy.answer > net./answer";

/// Each of them is handled in a turn of the worker's loop of its own. A loop that is busy calls a
/// callback in each.
const QUESTIONS: u8 = 200;

/// Far more calls than back-off allows while the questions are asked, on any machine.
const CALLS_LIMIT: usize = 100;

fn assert_not_busy(fault: &str) {
    let (show, others) = run(SCRIPT, "", MAPPINGS);
    show.send(fault, &[F(1.0)]);
    show.wait_for(Event::named("script_warned").instance("py").message("`manage(None, socket)`"));
    show.send("/count", &[F(1.0)]);
    for number in 0..QUESTIONS {
        let value = f32::from(number) / 256.0;
        show.send("/ask", &[F(value)]);
        show.expect("/answer", &[F(value)]);
    }
    show.send("/tell", &[F(1.0)]);
    let told = show.wait_for(Event::printed("py", "calls: ")).message;
    let calls: usize = told.trim_start_matches("calls: ").parse().expect("a number");
    assert!(calls < CALLS_LIMIT, "{calls} calls");
    assert_eq!(show.log().count(Event::named("script_warned").instance("py")), 1);
    finish(show, others);
}

#[test]
fn a_device_that_is_unplugged_takes_no_core() {
    assert_not_busy("/unplug");
}

#[test]
fn an_end_that_a_callback_ignores_takes_no_core() {
    assert_not_busy("/end");
}

#[test]
fn a_packet_that_a_callback_does_not_read_takes_no_core() {
    assert_not_busy("/idle");
}

#[test]
fn a_device_that_is_plugged_in_again_is_read() {
    let (show, others) = run(SCRIPT, "", MAPPINGS);
    show.send("/unplug", &[F(1.0)]);
    show.wait_for(Event::named("script_warned").instance("py").message("hung up"));
    show.send("/plug", &[F(1.0)]);
    show.wait_for(Event::printed("py", "read b'back'"));
    finish(show, others);
}
