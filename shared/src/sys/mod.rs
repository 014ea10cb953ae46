//! Small safe wrappers around what the system offers through `unsafe` only, and around what both
//! binaries need.

pub mod children;
pub mod clock;
pub mod inherit;
pub mod limits;
pub mod memory;
pub mod poller;
pub mod priority;
pub mod process;
pub mod stacks;
pub mod unread;
pub mod writers;
