//! How the system schedules the calling thread, and that nothing which it starts inherits it.

use nix::errno::Errno;
use nix::libc;
use std::ffi::c_int;
use std::io;

/// The calling thread itself.
const THIS_THREAD: libc::pid_t = 0;

/// A class of scheduling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulingClass {
    /// Shares the CPUs with all other threads, by nice value.
    Normal,
    /// Goes before every normal thread, and before real-time threads of a lower level; 1 to 99.
    Fifo(u8),
}

/// Puts the calling thread, and it alone, into a class. Threads and processes that it starts from
/// then on are normal ones, and start at nice 0 where this thread has a negative nice value.
///
/// # Errors
///
/// `PermissionDenied` where `RLIMIT_RTPRIO` is below the level, `InvalidInput` for a level that
/// there is not.
pub fn schedule_this_thread(class: SchedulingClass) -> io::Result<()> {
    let (policy, level) = match class {
        SchedulingClass::Normal => (libc::SCHED_OTHER, 0),
        SchedulingClass::Fifo(level) => (libc::SCHED_FIFO, c_int::from(level)),
    };
    let parameters = libc::sched_param { sched_priority: level };
    let policy = policy | libc::SCHED_RESET_ON_FORK;
    // SAFETY: reads the parameters, which live on this stack, and touches no other memory
    let outcome = unsafe { libc::sched_setscheduler(THIS_THREAD, policy, &raw const parameters) };
    Errno::result(outcome)?;
    Ok(())
}

/// Puts the calling thread on a level with ordinary ones where it goes before them: out of a
/// real-time class, up to nice 0, out of the real-time class of disk access. What makes it give way
/// to others stays.
///
/// # Errors
///
/// Those of the system.
pub fn become_ordinary() -> io::Result<()> {
    // SAFETY: asks for a number, and touches no memory
    let policy = Errno::result(unsafe { libc::sched_getscheduler(THIS_THREAD) })?;
    let class = policy & !libc::SCHED_RESET_ON_FORK;
    if matches!(class, libc::SCHED_FIFO | libc::SCHED_RR | libc::SCHED_DEADLINE) {
        let parameters = libc::sched_param { sched_priority: 0 };
        // That flag may be set by each process and cleared by a privileged one only.
        let policy = libc::SCHED_OTHER | (policy & libc::SCHED_RESET_ON_FORK);
        // SAFETY: reads the parameters, which live on this stack, and touches no other memory
        Errno::result(unsafe { libc::sched_setscheduler(THIS_THREAD, policy, &raw const parameters) })?;
    }
    Errno::clear();
    // SAFETY: asks for a number, and touches no memory. No call fails for the calling thread.
    if unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } < 0 {
        // SAFETY: sets a number of this thread, and touches no memory
        Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) })?;
    }
    become_ordinary_for_disks()
}

/// `ioprio_set` of the kernel's `linux/ioprio.h`, for which the C library has no function.
fn become_ordinary_for_disks() -> io::Result<()> {
    const THREAD: c_int = 1;
    const CLASS_SHIFT: u32 = 13;
    const REAL_TIME: libc::c_long = 1;
    /// The class that follows the nice value.
    const NO_CLASS: c_int = 0;
    // SAFETY: asks for a number, and touches no memory
    let class = unsafe { libc::syscall(libc::SYS_ioprio_get, THREAD, THIS_THREAD) } >> CLASS_SHIFT;
    if class == REAL_TIME {
        // SAFETY: sets a number of this thread, and touches no memory
        let outcome = unsafe { libc::syscall(libc::SYS_ioprio_set, THREAD, THIS_THREAD, NO_CLASS) };
        Errno::result(outcome)?;
    }
    Ok(())
}

/// The class of the calling thread, and whether what it starts gets back to a normal one.
///
/// # Errors
///
/// Those of the system.
pub fn class_of_this_thread() -> io::Result<(SchedulingClass, bool)> {
    let mut parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: asks for a number, and touches no memory
    let policy = Errno::result(unsafe { libc::sched_getscheduler(THIS_THREAD) })?;
    // SAFETY: writes the parameters, which live on this stack
    Errno::result(unsafe { libc::sched_getparam(THIS_THREAD, &raw mut parameters) })?;
    let resets = policy & libc::SCHED_RESET_ON_FORK != 0;
    let level = u8::try_from(parameters.sched_priority).unwrap_or(0);
    let class = if policy & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO {
        SchedulingClass::Fifo(level)
    } else {
        SchedulingClass::Normal
    };
    Ok((class, resets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_a_thread_starts_does_not_inherit_its_class() -> io::Result<()> {
        let here = thread::spawn(|| {
            schedule_this_thread(SchedulingClass::Normal)?;
            let own = class_of_this_thread()?;
            let started = thread::spawn(class_of_this_thread).join();
            Ok::<_, io::Error>((own, started.unwrap_or(Ok((SchedulingClass::Normal, true)))?))
        });
        let (own, started) = here.join().unwrap_or_else(|_| Err(io::Error::other("panicked")))?;
        assert_eq!(own, (SchedulingClass::Normal, true));
        assert_eq!(started, (SchedulingClass::Normal, false));
        Ok(())
    }

    #[test]
    fn a_level_that_there_is_not_is_refused() {
        let outcome = thread::spawn(|| schedule_this_thread(SchedulingClass::Fifo(0))).join();
        assert!(outcome.is_ok_and(|outcome| outcome.is_err()));
    }
}
