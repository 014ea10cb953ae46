//! The reaper: the process that is the parent of all workers, so that nothing that a script starts
//! outlives its worker, nor anything the supervisor.
//!
//! It is this program once more, with one thread and one descriptor: a socket to the supervisor,
//! its standard input. Requests to start workers come over it, and go their descriptors and the
//! reports of their ends ([`protocol`]). What makes it necessary: when a process dies, its children
//! go to its nearest ancestor that has asked to adopt orphans. A supervisor that is killed can do
//! nothing about those; the reaper can, because it outlives it by a moment.
//!
//! - A worker adopts the orphans below it (a child that left its group and session, a daemon that
//!   forked twice). When it dies they come here. So a child of the reaper that is not one of its
//!   living workers is killed, and then the children that it leaves ([`orphans`]); what cleans up
//!   behind the others has a moment for that.
//! - The socket's end means that the supervisor is gone, in whatever way: everything below the
//!   reaper is killed.
//! - If the reaper itself is killed, its workers die with it by `PDEATHSIG`, and their orphans come
//!   to the supervisor, which adopts as well: it kills them, starts another reaper, and restarts
//!   what is to run ([`client`]). One that was stopped the supervisor continues, one that does not
//!   answer any more it kills itself. Only a process that kills both at the same instant can
//!   leave a child behind that has made a session of its own.
//!
//! A worker takes the status of the orphans that it has adopted itself, when there are many.

pub mod protocol;

pub mod children;
pub mod orphans;
pub mod process;

pub mod child;
pub mod client;
pub mod pending;
pub mod spawn;

pub use client::{Job, ReaperClient};
pub use process::run;
pub use protocol::WaitStatus;
pub use spawn::{ReaperEvent, SpawnRequest, Spawned};
