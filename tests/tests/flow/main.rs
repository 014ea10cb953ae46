//! Faults `queue-full`, `mapping-loop`, `output-flood`, `bundle-flood` and `host-stalls`: queues
//! that are full for long, mappings that form loops, sources that flood.

mod floods;
mod loops;
mod queues;
