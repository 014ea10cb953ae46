//! Shows on a host, with OSC on that host as their other end.

use mm_tests::dmx::Datagram;
use mm_tests::netns::Host;
use mm_tests::osc::{Argument, F};
use mm_tests::{Event, Running, TestShow};
use serde_json::Value;
use std::time::Duration;

/// Starts a show of `net` (see [`TestShow::osc_show`]) and this text on a host, and waits until it
/// runs.
pub fn run(host: &Host, text: &str) -> Running {
    let stage = TestShow::new();
    stage.osc_show(text);
    host.run(|| stage.run())
}

/// Writes another show file of `net` and this text, and waits until it is the one that runs.
pub fn reload(show: &Running, text: &str) {
    let number = show.log().count(Event::named("show_reloaded"));
    show.stage().osc_show(text);
    show.signal(nix::sys::signal::Signal::SIGHUP);
    show.log().wait_for_nth(number + 1, Event::named("show_reloaded"));
}

/// The value that goes out as this byte, and comes in for it.
pub fn level(byte: u8) -> Argument {
    F(f32::from(byte) / 255.0)
}

/// The universe in the status of an instance.
pub fn universe(status: &Value) -> &Value {
    &status["universes"][0]
}

/// Makes sure that the sequence numbers have no hole.
#[track_caller]
pub fn assert_consecutive(sequences: &[u8], next: impl Fn(u8) -> u8) {
    let hole = sequences.windows(2).find(|pair| next(pair[0]) != pair[1]);
    assert_eq!(hole, None, "{sequences:?}");
}

/// Makes sure that no more than 44 frames went out in any second. What the scheduler of a busy
/// machine delays between the clock of the show and that of the receiver is left out.
#[track_caller]
pub fn assert_at_most_44_per_second(times: &[Duration]) {
    let second = Duration::from_millis(950);
    let crowd = times.windows(45).find(|times| times[44].saturating_sub(times[0]) < second);
    assert_eq!(crowd, None, "45 frames in less than a second");
}

/// A frame with its time.
pub fn timed<T>(read: impl Fn(&Datagram) -> Option<T>) -> impl Fn(&Datagram) -> Option<(Duration, T)> {
    move |datagram| Some((datagram.time, read(datagram)?))
}

/// The frames, of those that a show sends for one change, that come right after the one before.
/// The others are sent to keep receivers from losing the universe.
pub fn at_full_rate(times: &[Duration]) -> Vec<bool> {
    times.windows(2).map(|pair| pair[1] - pair[0] < Duration::from_millis(400)).collect()
}

/// Longer than any pause of a universe that is alive, shorter than the 2.5 s after which receivers
/// give it up.
pub const PAUSE_LIMIT: Duration = Duration::from_millis(2400);
