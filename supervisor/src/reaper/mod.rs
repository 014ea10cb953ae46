//! The reaper: the process that is the parent of all workers, so that nothing which a script starts outlives its
//! worker, nor anything the supervisor.
//!
//! It is this program once more, with one thread and one descriptor: a socket to the supervisor, its standard input.
//! Over it come orders to start workers, and go their descriptors and the event of their ends ([`protocol`]).
//! What makes it necessary: when a process dies, its children go to its nearest ancestor that has asked to adopt
//! orphans. A supervisor that is killed can do nothing about those; the reaper can, because it outlives it by a moment.
//!
//! - A worker adopts the orphans below it (a child that left its group and session, a daemon that forked twice). When
//!   it dies they come here. So whoever is a child of the reaper and none of its living workers is to go: it is
//!   killed, and then those that it leaves ([`orphans`]).
//! - The socket's end means that the supervisor is gone, in whatever way: everything below the reaper is killed.
//! - If the reaper itself is killed, its workers die with it by `PDEATHSIG`, and their orphans come to the supervisor,
//!   which adopts as well ([`replies`]): it kills them, starts another reaper, and restarts what is to run. One that does
//!   not answer any more, because it was stopped for instance, the supervisor kills itself.
//!   Only who kills both at the same instant can leave a child behind that has made a session of its own.
//!
//! Of those that a worker adopts nobody but itself could take note when they end; it does so when there are many.

pub mod protocol;

pub mod children;
pub mod orphans;
pub mod process;

pub mod client;
pub mod pending;
pub mod replies;

pub use client::{ReaperClient, SpawnRequest, Spawned};
pub use process::run;
pub use protocol::WaitStatus;
