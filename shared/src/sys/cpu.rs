//! Which CPU this thread runs on.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// The number of the CPU that the calling thread runs on at this moment. No system call where the C library keeps it.
pub fn current() -> Option<u32> {
    nix::sched::sched_getcpu().ok().and_then(|cpu| u32::try_from(cpu).ok())
}

/// Moves the calling thread to a CPU. Where it may run is the same afterwards as before: the system is free to move it on.
///
/// # Errors
///
/// It may not run there, or those of the system.
pub fn move_to(cpu: u32) -> nix::Result<()> {
    let allowed = sched_getaffinity(SELF)?;
    let cpu = usize::try_from(cpu).map_err(|_| Errno::EINVAL)?;
    if !allowed.is_set(cpu)? {
        return Err(Errno::EINVAL);
    }
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(SELF, &only)?;
    sched_setaffinity(SELF, &allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_was_moved_may_run_where_it_could_before() {
        let before = sched_getaffinity(SELF).expect("a mask");
        let there: Vec<_> =
            (0..CpuSet::count()).filter(|cpu| before.is_set(*cpu).unwrap_or_default()).collect();
        for cpu in there {
            assert_eq!(move_to(cpu as u32), Ok(()));
            assert_eq!(sched_getaffinity(SELF).expect("a mask"), before);
        }
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused() {
        assert_eq!(move_to(CpuSet::count() as u32), Err(Errno::EINVAL));
        assert_eq!(move_to(u32::MAX), Err(Errno::EINVAL));
    }
}
