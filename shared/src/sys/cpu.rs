//! Which CPU this thread runs on.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::marker::PhantomData;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// The number of the CPU that the calling thread runs on at this moment. No system call where the C library keeps it.
pub fn current() -> Option<u32> {
    nix::sched::sched_getcpu().ok().and_then(|cpu| u32::try_from(cpu).ok())
}

/// A stay on one CPU. When it ends, the thread may run where it could before.
#[derive(Debug)]
pub struct Stay {
    allowed: CpuSet,
    only: CpuSet,
    /// It is of the thread that made it.
    _not_send: PhantomData<*const ()>,
}

/// Moves the calling thread to a CPU and keeps it there until the stay is dropped. A thread that it starts meanwhile would
/// stay for ever.
///
/// # Errors
///
/// It may not run there, or those of the system.
pub fn stay(cpu: u32) -> nix::Result<Stay> {
    let allowed = sched_getaffinity(SELF)?;
    let cpu = usize::try_from(cpu).map_err(|_| Errno::EINVAL)?;
    if !allowed.is_set(cpu)? {
        return Err(Errno::EINVAL);
    }
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(SELF, &only)?;
    Ok(Stay { allowed, only, _not_send: PhantomData })
}

impl Drop for Stay {
    fn drop(&mut self) {
        // somebody who has decided otherwise meanwhile, such as the system's administrator, has the last word
        if sched_getaffinity(SELF) == Ok(self.only) {
            let _ = sched_setaffinity(SELF, &self.allowed);
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
        let allowed = || cpus(sched_getaffinity(SELF).expect("a mask"));
        let before = allowed();
        for cpu in before.clone() {
            let stay = stay(cpu as u32).expect("it may run there");
            assert_eq!((allowed(), current()), (vec![cpu], Some(cpu as u32)));
            drop(stay);
            assert_eq!(allowed(), before);
        }
    }

    #[test]
    fn what_somebody_else_decides_during_a_stay_holds() {
        let all = sched_getaffinity(SELF).expect("a mask");
        let own = current().expect("a CPU");
        let other =
            (0..CpuSet::count()).rfind(|cpu| *cpu != own as usize && all.is_set(*cpu).unwrap_or_default());
        // on a machine with one CPU there is nothing to decide
        let Some(other) = other else { return };
        let stay = stay(own).expect("it may run where it runs");
        let mut decided = CpuSet::new();
        decided.set(other).expect("a CPU of the mask");
        sched_setaffinity(SELF, &decided).expect("allowed before");
        drop(stay);
        assert_eq!(sched_getaffinity(SELF), Ok(decided));
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused() {
        assert_eq!(stay(CpuSet::count() as u32).err(), Some(Errno::EINVAL));
        assert_eq!(stay(u32::MAX).err(), Some(Errno::EINVAL));
    }
}
