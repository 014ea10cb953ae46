//! The network of a DMX protocol: binds, interfaces, sockets, groups and sending.
//!
//! ```text
//! BindSpec ──┐                     ┌─ wildcard:PORT   broadcast, unicast
//! interfaces ┼─► bound binds ─► ───┼─ ADDRESS:PORT    unicast of a bind with an address
//! netlink ───┘       │             └─ GROUP:PORT      one per group that a bind has joined
//!                    │                    │ receive: each datagram goes to the binds of its interface
//!                    └─► routes ─► one socket per node and one per interface, sent to in batches
//! ```
//!
//! A bind is an interface. What arrives there belongs to it, however it is addressed; what arrives
//! elsewhere does not. `*` is all interfaces. Facts about Linux that this rests on, as seen in a
//! network namespace (kernel 6.18):
//!
//! - A socket bound to an address receives neither broadcast nor multicast, one bound to a group
//!   receives nothing else than that group, and each wildcard socket receives a copy of each
//!   broadcast. So there is one wildcard socket per port, and one socket per group. The kernel
//!   permits 20 groups per socket (`ENOBUFS`); with a socket of its own, a group that is flooded
//!   also fills no queue but its own.
//! - Unicast goes to one socket: to one that is bound to that very address, else to the wildcard
//!   socket that was bound last, of whichever program. So a bind with an address has a socket of
//!   that address, and other programs on the port do not take its unicast away.
//! - `IP_MULTICAST_ALL` is on by default: a socket receives groups that others have joined.
//! - A datagram for a node that does not answer ARP stays in the send buffer of its socket for
//!   three seconds. So each node has a socket of its own, and only its own buffer fills.
//! - A socket that is bound to a group which it has not joined never receives: those for sending
//!   have the port as their source without taking part in what arrives.

mod attribution;
mod bind;
mod bound;
mod faults;
mod interfaces;
mod lookup;
mod receive;
mod report;
mod routes;
mod settling;
mod sockets;
mod system;
mod watch;

pub use bind::{BindHost, BindIndex, BindSpec};
pub use interfaces::{DmxInterface, InterfaceAddress, InterfaceTable};
pub use receive::DmxDatagram;
pub use sockets::DmxSockets;

#[cfg(test)]
mod tests;
