//! The supervisor: it owns hardware, network and routing, and runs each Python instance in a
//! process of its own.
//!
//! Reading order, which is the order in which a show comes to life: [`cli`] and [`startup`] read
//! the show file and open what it asks for, [`event_loop`] runs it. An event comes in through
//! [`backends`], goes through [`router`], and out through [`backends`] again or to a worker of
//! [`instances`]. [`log`] is what it reports.

#![forbid(unsafe_code)]

pub mod cli;

pub mod check;
pub mod startup;

pub mod runtime_dir;
pub mod signals;
pub mod stderr;
pub mod terminal;
pub mod worker_binary;

pub mod event_loop;
pub mod poller;
pub mod resolver;
pub mod timers;

pub mod backends;

pub mod conflating_queue;
pub mod router;

pub mod last_good;
pub mod show_choice;

pub mod ids;
pub mod instances;
pub mod lazy_thread;
pub mod mailbox;
pub mod reaper;
pub mod show;
pub mod show_file;
pub mod show_reload;
pub mod status;

pub mod script_watch;
pub mod state;

pub mod realtime;
pub mod systemd;

pub mod control;

pub mod log;
pub mod script_output;

#[cfg(test)]
mod test_shows;
