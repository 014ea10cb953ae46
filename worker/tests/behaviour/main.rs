//! The real binary, driven as the supervisor drives it. One file for each thing that a script can
//! rely on.

mod rig;

mod channels;
mod faults;
mod handlers;
mod intervals;
mod lifecycle;
mod modules;
mod outputs;
mod sockets;
mod threads;
