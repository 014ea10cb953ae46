//! Fault `handler-does-nothing`: functions whose call does not run their body.

use crate::{assert_serves, finish, run};
use mm_tests::Event;
use mm_tests::osc::F;

const SCRIPT: &str = "
    import asyncio, functools, midimonster, socket
    async def later(value):
        midimonster.output('answer', value)
    def steps(value):
        yield value
    def hidden(value):
        return later(value)
    class Object:
        async def __call__(self, value):
            pass
        async def method(self, value):
            pass
        def plain(self, value):
            return 7
    thing = Object()
    method = thing.method
    plain = thing.plain
    partial = functools.partial(steps)
    kept = []
    def task(value):
        kept.append(later(value))
        return kept[-1]
    async def tick():
        pass
    async def readable(sock):
        pass
    ours, theirs = socket.socketpair()
    theirs.send(b'x')
    midimonster.interval(tick, 100)
    midimonster.manage(readable, ours)
    async def cleanup():
        pass
    midimonster.cleanup_handler(cleanup)
    def ask(value):
        midimonster.output('answer', value)
";

#[test]
fn they_are_named_at_the_start_and_counted_at_each_call() {
    let handlers = ["later", "steps", "thing", "method", "partial", "hidden", "plain", "task"];
    let mappings: String = handlers.map(|name| format!("net./{name} > py.h.{name}\n")).concat();
    let (show, others) = run(SCRIPT, "", &format!("{mappings}net./ask > py.h.ask\npy.answer > net./answer"));
    let warned = || Event::named("script_warned").instance("py");
    for name in ["h.later", "h.thing", "h.method"] {
        show.wait_for(warned().message(&format!("`{name}` is `async def`")).message("hint: "));
    }
    for name in ["h.steps", "h.partial"] {
        show.wait_for(warned().message(&format!("`{name}` is a generator function")));
    }
    for (name, call) in [("tick", "interval"), ("readable", "manage"), ("cleanup", "cleanup_handler")] {
        show.wait_for(warned().message(&format!("`{name}`, given to `{call}`, is `async def`")));
    }
    assert_eq!(show.log().count(warned()), 8, "{}", show.log().text());
    let raised = |place: &str| Event::named("script_raised").instance("py").message(place);
    for name in ["later", "steps", "thing", "method", "partial", "hidden"] {
        show.send(&format!("/{name}"), &[F(0.5)]);
        show.wait_for(raised(&format!("h.{name}`")).field_part("traceback", "its body was not run"));
    }
    show.wait_for(raised("interval `tick`").field_part("traceback", "never awaited"));
    show.wait_for(raised("socket callback `readable`").field_part("traceback", "never awaited"));
    show.send("/plain", &[F(0.5)]);
    show.send("/task", &[F(0.5)]);
    assert_serves(&show);
    for name in ["h.plain", "h.task"] {
        assert_eq!(show.log().count(raised(name)), 0);
    }
    let log = show.log().clone();
    finish(show, others);
    assert_eq!(log.count(raised("cleanup handler").field_part("traceback", "never awaited")), 1);
}
