//! Faults `queue-full` and `mapping-loop`: queues that are full for long, and mappings that go round in circles.

mod loops;
mod queues;
