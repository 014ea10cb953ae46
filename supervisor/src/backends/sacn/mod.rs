//! `sacn`: DMX512 over streaming ACN (ANSI E1.31-2018), UDP.
//!
//! [`codec`] reads and writes packets, [`merger`] decides which of several sources of a universe
//! counts. Both are pure.

pub mod codec;
pub mod merger;

#[cfg(test)]
mod traces;
