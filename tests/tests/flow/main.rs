//! Faults `queue-full` and `mapping-loop`: queues that are full for long, and mappings that form
//! loops.

mod loops;
mod queues;
