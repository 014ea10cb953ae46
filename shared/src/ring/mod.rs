//! A ring of records for one producer and one consumer, in two processes that do not trust each
//! other.
//!
//! # Words
//!
//! | word | writer | meaning |
//! |---|---|---|
//! | `published` | producer | events made visible since the start |
//! | `waiting` | producer | epoch; odd while it waits for space |
//! | `taken` | consumer | events taken since the start |
//! | `done` | consumer | events it has finished with |
//! | `idle` | consumer | whether it naps or sleeps, with a count, see `wakeup/idle_word.rs` |
//! | `cpu` | each | the CPU it last ran on, plus one; the producer's with a bit for pinned |
//!
//! Cursors count events, in 64 bits, and never wrap; a slot is found by masking. At a billion
//! events a second they last for 500 years.
//!
//! # Orderings
//!
//! - The producer stores `published` with *Release*, after the slots; the consumer loads it, then
//!   fences *Acquire*, before it reads them. So it never sees a slot half-written.
//! - The consumer stores `taken` with *Release*, after it has copied the slot; the producer loads
//!   it, then fences *Acquire*, before it reuses the slot. So a slot never changes under the copy.
//! - A relaxed load and a fence, rather than an acquire load, since the consumer's mapping may be
//!   read-only, where Rust promises relaxed loads only.
//!
//! # Going to sleep
//!
//! The consumer announces in `idle` that it sleeps, fences *SeqCst*, then looks at `published` once
//! more. The producer stores `published`, fences *SeqCst*, then looks at `idle`. Whichever fence
//! comes first, the other side sees the store before it: either the consumer finds the event, or
//! the producer finds the consumer idle and rings. Each idle period has a count of its own, for
//! which the producer rings once. Waiting for space is the same with the roles exchanged:
//! `waiting`, an epoch, and `taken`.
//!
//! # In hand
//!
//! A producer keeps at most `capacity - 1` events in flight. The slot of the event taken last is
//! therefore never overwritten, and tells after a crash what the consumer was working on.

pub mod layout;
pub mod memory;

mod producer;

mod consumer;

pub mod heap;
pub mod mapping;

pub use consumer::Consumer;
pub use mapping::Mapped;
pub use producer::{Full, Producer};
