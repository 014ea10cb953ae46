//! When a side of a ring waits for work, and how: all latency heuristics of supervisor and worker.
//!
//! Waking a thread that sleeps on an idle core costs about 22 µs, which is more than the rest of an
//! event's way. The code here decides when that can be avoided, and nothing else: without it, a
//! consumer blocks until its doorbell is rung, and every guarantee holds. [`WakeupMode::Plain`]
//! switches all of it off.
//!
//! # States of a consumer
//!
//! ```text
//!                 work comes: no doorbell, no system call
//!          ┌──────────────────────────────────────────────┐
//!          ▼                                              │
//!   ┌──► AWAKE ── no work is left, polling pays ──► POLLING (pinned or unpinned)
//!   │      │                                              │
//!   │      │ no work is left, polling does not pay        │ SPIN_TIMEOUT is over
//!   │      ├◄─────────────────────────────────────────────┘
//!   │      │
//!   │      ├── the producer is busy ──► NAPPING ── the window is over, or ──────────┐
//!   │      │                                       the producer runs out of work    │
//!   │      │                                                                        │
//!   │      └── else ──────────────────► ASLEEP ─── the producer rings the doorbell ─┤
//!   └───────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! *Awake* and *polling* are one state for the producer: it does not ring. The consumer announces
//! *napping* and *asleep* in its idle word (`idle_word`). The return value of that decision is
//! [`IdleMode`]: `Busy`, `PollUntil`, `Block`.
//!
//! *Pinned* and *unpinned*: while the event loop polls for packets with success, it is pinned to
//! its CPU ([`CpuPin`]) and publishes that. A worker whose work is short then sleeps pinned to the
//! same CPU. Otherwise both are unpinned, and [`Affinity`] only moves a worker over once in a
//! while.
//!
//! # Heuristics
//!
//! | type | used by | decides | off in plain mode: |
//! |---|---|---|---|
//! | [`Spinner`] | both | whether to poll the ring before sleeping | never polls |
//! | [`BusyPoller`] | event loop | whether to poll sockets before sleeping; pins the loop | never polls or pins |
//! | [`PollWindow`] | event loop | whether to nap beside a busy worker | never naps |
//! | [`Affinity`] | worker | on which CPU to sleep | never moves, never pins |
//! | [`TurnBudget`] | worker | how long a turn of events lasts | the same: it is fairness |
//!
//! [`constants`] holds every number, with the measurement behind it. `make bench BENCH=wakeup`
//! compares both modes.

pub mod constants;

mod affinity;
mod busy_poller;
mod poll_window;
mod spinner;
mod turn_budget;

pub mod cpu;

mod mode;

pub(crate) mod idle_word;

pub use affinity::Affinity;
pub use busy_poller::BusyPoller;
pub use cpu::CpuPin;
pub use mode::{UnknownWakeupMode, WAKEUP_VARIABLE, WakeupMode};
pub use poll_window::{IdleMode, PollWindow, Window};
pub use spinner::Spinner;
pub use turn_budget::TurnBudget;
