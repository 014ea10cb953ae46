//! The module `midimonster`: intervals, sockets, threads and the cleanup handler.

use crate::python;
use mm_tests::Event;
use mm_tests::osc::F;

#[test]
fn an_interval_is_called_until_it_is_set_to_zero() {
    let script = "
        import midimonster
        ticks = 0
        def tick():
            global ticks
            ticks += 1
            midimonster.output('ticks', ticks / 16)
            if ticks == 5:
                midimonster.interval(tick, 0)
                midimonster.interval(late, 50)
        def late():
            midimonster.interval(late, 0)
            print('in the end', ticks)
        midimonster.interval(tick, 3)
    ";
    let show = python(script, "py.ticks > net./ticks").run();
    show.expect("/ticks", &[F(5.0 / 16.0)]);
    show.wait_for(Event::printed("py", "in the end 5"));
    show.stop();
}

#[test]
fn the_same_callable_again_changes_its_interval() {
    let script = "
        import midimonster
        class Lamp:
            def tick(self):
                print('tick')
                midimonster.interval(self.tick, 0)
        lamp = Lamp()
        # Two bound methods of one object are equal, but never the same object.
        midimonster.interval(lamp.tick, 3600000)
        midimonster.interval(lamp.tick, 5)
        def go(value):
            print('end')
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.wait_for(Event::printed("py", "tick"));
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "end"));
    assert_eq!(show.log().count(Event::printed("py", "tick")), 1);
    show.stop();
}

#[test]
fn intervals_of_a_millisecond_do_not_drift() {
    let script = "
        import midimonster, time
        ticks = 0
        start = None
        def tick():
            global ticks, start
            start = start or time.monotonic()
            ticks += 1
            if time.monotonic() - start > 0.5:
                midimonster.interval(tick, 0)
                # On a loaded machine ticks are missed, and never made up for.
                print('ticks', 'too many' if ticks > 510 else 'fine')
        midimonster.interval(tick, 1)
    ";
    let show = python(script, "net./go > py.go").run();
    show.wait_for(Event::printed("py", "ticks fine"));
    show.stop();
}

#[test]
fn a_managed_socket_calls_back_when_it_is_readable() {
    let script = "
        import midimonster, socket
        ours, theirs = socket.socketpair()
        def first(s):
            print('first', s is ours, s.recv(100).decode())
        def second(s):
            print('second', s.recv(100).decode())
        def one(value):
            midimonster.manage(first, ours)
            theirs.send(b'hello')
        def two(value):
            midimonster.manage(second, ours)
            theirs.send(b'again')
        def three(value):
            midimonster.manage(None, ours)
            theirs.send(b'nobody')
            midimonster.interval(end, 50)
        def end():
            midimonster.interval(end, 0)
            print('end')
    ";
    let show = python(script, "net./{one,two,three} > py.h.{one,two,three}").run();
    show.send("/one", &[F(1.0)]);
    show.wait_for(Event::printed("py", "first True hello"));
    show.send("/two", &[F(1.0)]);
    show.wait_for(Event::printed("py", "second again"));
    show.send("/three", &[F(1.0)]);
    show.wait_for(Event::printed("py", "end"));
    assert_eq!(show.log().count(Event::printed("py", "").message("nobody")), 0);
    show.stop();
}

#[test]
fn a_closed_socket_and_a_second_object_for_one_descriptor_are_refused() {
    let script = "
        import midimonster, socket
        def callback(s):
            pass
        class Same:
            def fileno(self):
                return ours.fileno()
        ours, theirs = socket.socketpair()
        closed, other = socket.socketpair()
        closed.close()
        def attempt(what, *arguments):
            try:
                midimonster.manage(*arguments)
                print('accepted', what)
            except TypeError:
                print('type error:', what)
            except Exception:
                print('exception:', what)
        def go(value):
            attempt('closed', callback, closed)
            attempt('ours', callback, ours)
            attempt('same', callback, Same())
    ";
    let show = python(script, "net./go > py.h.go").run();
    show.send("/go", &[F(1.0)]);
    show.wait_for(Event::printed("py", "type error: closed"));
    show.wait_for(Event::printed("py", "accepted ours"));
    show.wait_for(Event::printed("py", "exception: same"));
    show.stop();
}

#[test]
fn output_works_from_any_thread() {
    let script = "
        import midimonster, threading
        def work(number):
            midimonster.output(f'x{number}', number / 8)
        def go(value):
            for number in range(1, 5):
                threading.Thread(target=work, args=(number,)).start()
    ";
    let show = python(script, "net./go > py.h.go\npy.x{1..4} > net./x{1..4}").run();
    show.send("/go", &[F(1.0)]);
    let mut messages: Vec<_> = (0..4).map(|_| show.peer().receive()).collect();
    messages.sort_by(|one, two| one.path.cmp(&two.path));
    let values: Vec<_> = messages.iter().map(|message| message.arguments[0]).collect();
    assert_eq!(values, [F(0.125), F(0.25), F(0.375), F(0.5)]);
    show.stop();
}

#[test]
fn a_thread_sends_while_nothing_else_happens() {
    let script = "
        import midimonster, threading, time
        def work():
            for number in range(1, 17):
                time.sleep(0.01)
                midimonster.output('x', number / 16)
        threading.Thread(target=work, daemon=True).start()
    ";
    let show = python(script, "py.x > net./x").run();
    show.expect("/x", &[F(1.0)]);
    show.stop();
}

#[test]
fn the_cleanup_handler_runs_at_the_end_with_the_values_but_without_outputs() {
    let script = "
        import midimonster
        def first():
            print('never called')
        def last():
            print('cleanup', midimonster.inputvalue('h.go'), midimonster.outputvalue('x'))
            midimonster.output('x', 1.0)
            print('in cleanup', midimonster.outputvalue('x'))
        print('previous', midimonster.cleanup_handler(first))
        print('replaced', midimonster.cleanup_handler(None) is first)
        midimonster.cleanup_handler(last)
        def go(value):
            midimonster.output('x', value / 2)
    ";
    let show = python(script, "net./go > py.h.go\npy.x > net./x").run();
    show.wait_for(Event::printed("py", "previous None"));
    show.wait_for(Event::printed("py", "replaced True"));
    show.send("/go", &[F(0.5)]);
    show.expect("/x", &[F(0.25)]);
    show.send("/go", &[F(0.25)]);
    show.expect("/x", &[F(0.125)]);
    let ended = show.stop();
    ended.log.wait_for(Event::printed("py", "cleanup 0.25 0.125"));
    ended.log.wait_for(Event::printed("py", "in cleanup 1.0"));
    assert_eq!(ended.log.count(Event::printed("py", "never called")), 0);
    assert!(ended.messages.is_empty());
}
