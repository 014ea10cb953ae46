//! Rows 27 and 28: queues that are full for long, and mappings that go round in circles.

mod loops;
mod queues;
