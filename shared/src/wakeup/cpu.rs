//! Which CPU the calling thread runs on, and keeping it there.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::marker::PhantomData;

/// The calling thread, for the system calls here.
const CALLING_THREAD: Pid = Pid::from_raw(0);

/// The number of the CPU that the calling thread runs on. Not a system call where the C library
/// keeps it.
pub fn current() -> Option<u32> {
    nix::sched::sched_getcpu().ok().and_then(|cpu| u32::try_from(cpu).ok())
}

/// Keeps a thread on one CPU. When it is dropped, the thread may run where it could before.
#[derive(Debug)]
pub struct CpuPin {
    before: CpuSet,
    pinned: CpuSet,
    /// It belongs to the thread that made it.
    _not_send: PhantomData<*const ()>,
}

/// Moves the calling thread to a CPU and keeps it there until the pin is dropped. A thread that it
/// starts before that inherits the CPU for good.
///
/// # Errors
///
/// `EINVAL` where the thread may not run on that CPU, and those of the system.
pub fn pin(cpu: u32) -> nix::Result<CpuPin> {
    let before = sched_getaffinity(CALLING_THREAD)?;
    let cpu = usize::try_from(cpu).map_err(|_| Errno::EINVAL)?;
    if !before.is_set(cpu)? {
        return Err(Errno::EINVAL);
    }
    let mut pinned = CpuSet::new();
    pinned.set(cpu)?;
    sched_setaffinity(CALLING_THREAD, &pinned)?;
    Ok(CpuPin { before, pinned, _not_send: PhantomData })
}

impl Drop for CpuPin {
    fn drop(&mut self) {
        // A mask that another process (`taskset`, say) has set in the meantime stays.
        if sched_getaffinity(CALLING_THREAD) == Ok(self.pinned) {
            let _ = sched_setaffinity(CALLING_THREAD, &self.before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_told_to_until_that_ends() {
        let cpus = |set: CpuSet| -> Vec<_> {
            (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or_default()).collect()
        };
        let allowed = || cpus(sched_getaffinity(CALLING_THREAD).expect("a mask"));
        let before = allowed();
        for cpu in before.clone() {
            let pin = pin(cpu as u32).expect("it may run there");
            assert_eq!((allowed(), current()), (vec![cpu], Some(cpu as u32)));
            drop(pin);
            assert_eq!(allowed(), before);
        }
    }

    #[test]
    fn what_somebody_else_decides_during_a_stay_holds() {
        let all = sched_getaffinity(CALLING_THREAD).expect("a mask");
        let own = current().expect("a CPU");
        let other =
            (0..CpuSet::count()).rfind(|cpu| *cpu != own as usize && all.is_set(*cpu).unwrap_or_default());
        // A machine with one CPU has no other mask.
        let Some(other) = other else { return };
        let pin = pin(own).expect("it may run where it runs");
        let mut decided = CpuSet::new();
        decided.set(other).expect("a CPU of the mask");
        sched_setaffinity(CALLING_THREAD, &decided).expect("allowed before");
        drop(pin);
        assert_eq!(sched_getaffinity(CALLING_THREAD), Ok(decided));
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused() {
        assert_eq!(pin(CpuSet::count() as u32).err(), Some(Errno::EINVAL));
        assert_eq!(pin(u32::MAX).err(), Some(Errno::EINVAL));
    }
}
