//! The control socket: a Unix socket that speaks one JSON object per line, and the command line as
//! its first client.
//!
//! ```text
//! client ──line──► its thread ──LoopRequest──► event loop
//!        ◄──line──            ◄──Response────
//! ```
//!
//! Reading order: [`protocol`] is what goes over the socket, [`request`] the part of it that
//! reaches the loop, [`socket_file`] the socket's file, [`server`] the thread that accepts
//! [`clients`], `connection` the thread that serves one of them. The loop answers with the help of
//! [`name_index`], [`pending_command`], [`monitors`] and [`event_stream`]. [`args`] and [`client`]
//! are the command line.
//!
//! The rules: the loop never waits for a client; what a client can make the supervisor keep is
//! bounded; a client's bytes are hostile; only the user who runs the show, and root, are served.

pub mod protocol;

pub mod event_stream;
pub mod request;

pub mod connect;
pub mod socket_file;

pub mod lines;

pub mod clients;
mod connection;
pub mod server;

pub mod name_index;

pub mod monitors;
pub mod pattern;
pub mod pending_command;

pub mod args;
pub mod client;

use std::path::PathBuf;

/// The default socket of a show; `show_name` is the stem of the show file. Of several shows with one
/// name the second and further ones have a `number` in it.
#[must_use]
pub fn socket_path(show_name: &str, number: u32) -> PathBuf {
    let name = match number {
        ..=1 => format!("{show_name}.{SUFFIX}"),
        _ => format!("{show_name}-{number}.{SUFFIX}"),
    };
    crate::runtime_dir::shared_by_shows().join(name)
}

/// The extension of sockets of shows.
const SUFFIX: &str = "sock";
