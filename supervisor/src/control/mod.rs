//! The users' side of a running show: a Unix socket that speaks one JSON object per line, and its first client.
//!
//! ```text
//! client ──line──► server (a thread of its own) ──Asked──► event loop
//!        ◄──line──                              ◄──Answer──
//! ```
//!
//! Reading order: [`protocol`] is what goes over the socket, [`request`] what of it reaches the loop, [`socket_file`] where the
//! socket is, [`server`] the thread that owns it with one `connection` for each client. The loop answers with the
//! help of [`name_index`], [`pending_command`] and [`monitors`]. [`args`] and [`client`] are the command line.
//!
//! The rules: the loop never waits for a client; what a client can make the supervisor keep is bounded; a client's
//! bytes are hostile; only the user who runs the show, and root, get in.

pub mod protocol;

pub mod request;

pub mod connect;
pub mod socket_file;

pub mod lines;

mod connection;
mod outbox;
pub mod server;

pub mod name_index;

pub mod monitors;
pub mod pattern;
pub mod pending_command;

pub mod args;
pub mod client;

#[cfg(test)]
mod server_tests;

use std::path::PathBuf;

/// Where the socket of a show is that does not say otherwise; `show_name` is the show file's stem.
#[must_use]
pub fn socket_path(show_name: &str) -> PathBuf {
    crate::runtime_dir::shared_by_shows().join(format!("{show_name}.{SUFFIX}"))
}

/// What the name of a show's socket ends in.
const SUFFIX: &str = "sock";
