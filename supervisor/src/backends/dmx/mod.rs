//! DMX over the network: what the backends of its protocols share.

pub mod net;
