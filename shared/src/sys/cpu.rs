//! Which CPU this thread runs on.

/// The number of the CPU that the calling thread runs on at this moment. No system call where the C library keeps it.
pub fn current() -> Option<u32> {
    nix::sched::sched_getcpu().ok().and_then(|cpu| u32::try_from(cpu).ok())
}
