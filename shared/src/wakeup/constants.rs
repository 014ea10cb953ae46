//! The numbers of the heuristics, and what each of them rests on.
//!
//! The measurements are from a virtual machine with two cores (Linux 6.18, Python 3.11);
//! ARCHITECTURE.md has the whole list. `make bench BENCH=wakeup` shows on any machine whether all
//! of them together still pay.
//!
//! | measured | value |
//! |---|---|
//! | wake a thread on another, idle core | 22 µs |
//! | wake a thread on the own core, through a pipe | 1.3 µs |
//! | notice an event while polling a ring | 0.1 to 0.6 µs |
//! | round trip of one OSC message while the loop polls; without polling | 44 µs; 66 µs |
//! | reading the clock twice; a small handler | about 0.04 µs each |
//! | burst from one instance to another, with naps; without | 10 million events/s; 8 million events/s |
//! | two instances that compute, with naps; without | 31,000 events/s; 25,000 events/s |
//! | flood, worker on the loop's core; on another core | 350,000 replies/s; 200,000 replies/s |

use std::time::Duration;

/// How long one spin lasts at most, in nanoseconds: longer than a round trip (44 µs), so that the
/// next request of a client that waits for its answer falls into it, and less than three wake-ups
/// (22 µs each), which is what a spin without result may cost.
pub const SPIN_TIMEOUT: u64 = 60_000;

/// One of so many waits is a probe at first. A probe of 60 µs in every 16th wait costs a sparse
/// show at most 4 µs per event, a fifth of a wake-up.
pub const FIRST_PROBE_INTERVAL: u32 = 16;

/// Without hits the interval of probes doubles up to so many waits: 0.06 µs per wait is below what
/// can be measured.
pub const PROBE_INTERVAL_LIMIT: u32 = 1024;

/// After so many hits in a row the interval of probes starts again at [`FIRST_PROBE_INTERVAL`]. Not
/// measured: any number above a burst of a few dozen events gives the same figures.
pub const STEADY_HITS_LIMIT: u32 = 256;

/// So many spins in a row without result end the spinning. They cost at most 240 µs, once per pause
/// of the traffic.
pub const MISS_LIMIT: u32 = 4;

/// A spin reads the clock once in so many looks at the ring. A look takes about 10 ns with its
/// pause instruction, so the clock is read every 0.3 µs, which is how precisely a spin notices that
/// it was interrupted.
pub const CLOCK_READ_INTERVAL: u32 = 32;

/// A longer time between two readings of the clock, in nanoseconds, means that the thread did not
/// run: 30 times what the readings lie apart, and half of what a switch to another thread and back
/// takes.
pub const INTERRUPTION_LIMIT: u64 = 10_000;

/// An interruption of at least this length, in nanoseconds, is another thread with much work for
/// this CPU. It is eight spins long, and an interrupt handler or a short system daemon stays below
/// it.
pub const LONG_INTERRUPTION_LIMIT: u64 = 500_000;

/// After at most so many events in a turn the next ones, or the answer to these, are polled for.
/// With more there is a queue, and one wake-up serves many events. It is the block size of the
/// flood in `make bench`.
pub const SPARSE_EVENTS_LIMIT: usize = 8;

/// A worker spins so many times in a row before it looks at its sockets and signals again: at most
/// 4 ms.
pub const WORKER_SPINS_LIMIT: u32 = 64;

/// The event loop waits for the answers of workers so many times in a row before it looks outside
/// again: at most 1 ms.
pub const LOOP_SPINS_LIMIT: usize = 16;

/// A worker with at least so many events in its ring will send more soon: one is in hand, one
/// follows.
pub const BACKLOG_LIMIT: usize = 2;

/// A worker that has sent at least so many events since the last idle period, and still runs a
/// handler, will send more at once. At 0.08 µs per `output()` it takes 2.6 µs for them, so this is
/// a loop in a script and not an answer.
pub const STREAM_LIMIT: usize = 32;

/// How much later than it was sent an event of a busy worker may be taken. Half of the millisecond
/// that a way through a script may take; gains the figures with naps above.
pub const NAP_TIMEOUT: Duration = Duration::from_micros(500);

/// The same for a worker that streams. It fills its ring of 16,384 events in 1.3 ms, and then
/// waits: 125 µs leaves that far away.
pub const STREAM_NAP_TIMEOUT: Duration = Duration::from_micros(125);

/// A worker that is awake for longer on average, in nanoseconds, has a core of its own: its work
/// then outweighs the 22 µs of a wake-up on another core.
pub const SHORT_WORK_LIMIT: u64 = 20_000;

/// The average of the time awake moves towards each new figure by one part of so many.
pub const WORK_AVERAGE_PARTS: u64 = 8;

/// So many sleeps in a row on another CPU than the supervisor's, at first, before a worker moves
/// over: a worker that the kernel has just placed elsewhere is in its place again after 16 events.
pub const FIRST_MOVE_INTERVAL: u32 = 16;

/// Each move doubles the interval up to so many sleeps: where the kernel disagrees, a move per
/// 65,536 events (2 µs each) costs nothing.
pub const MOVE_INTERVAL_LIMIT: u32 = 65_536;

/// After so many sleeps in a row on the supervisor's CPU the interval starts again at
/// [`FIRST_MOVE_INTERVAL`].
pub const TOGETHER_LIMIT: u32 = 1024;

/// How long a turn of events lasts in a worker, in nanoseconds, before it looks at its other
/// sources.
pub const TURN_TIMEOUT: u64 = 1_000_000;

/// The most events in a turn: at 0.12 µs per small handler they take 60 µs.
pub const TURN_EVENTS_LIMIT: u32 = 512;

/// So many events at the start of a turn are measured, which is all of them in a sparse show.
pub const MEASURED_EVENTS_LIMIT: u32 = 8;

/// After that one of so many events is measured: the clock then costs a flood 0.003 µs per event.
pub const MEASURE_INTERVAL: u32 = 16;

/// After a handler that took longer, in nanoseconds, the next one is measured too: the clock is
/// below 1 % of that.
pub const SLOW_HANDLER_LIMIT: u64 = 10_000;
