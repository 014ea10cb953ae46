//! Processes: what one does to itself when it starts (it ends with its parent, adopts orphans,
//! resets its signals), and what the kernel knows of another one.

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::unistd::{getppid, setsid};
use std::ffi::c_int;
use std::{fs, io};

/// Makes the kernel kill this process when the *thread* that started it ends, however that ends.
/// Fails when the parent is not `parent` (any more): then it ended before this was set up, and this
/// process would never be killed.
///
/// # Errors
///
/// `NotConnected` for another parent, and those of the system.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if u32::try_from(getppid().as_raw()) != Ok(parent) {
        return Err(io::Error::new(io::ErrorKind::NotConnected, format!("parent {parent} is gone")));
    }
    Ok(())
}

/// Makes this process the leader of a session and a group of its own. No error if it is one
/// already.
pub fn lead_session() {
    // Its only error is that this process leads a group already, which is what is wanted.
    let _ = setsid();
}

/// Makes this process the parent of all that its descendants leave when they die, also of what has
/// made a session of its own; otherwise that would be the machine's first process. What it has
/// adopted is its child from then on.
///
/// # Errors
///
/// Those of the system.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Gives every signal its default disposition, and blocks none. The C library refuses to change
/// those that it keeps for itself, below the real-time ones.
///
/// # Errors
///
/// Those of the system.
pub fn reset_signals() -> io::Result<()> {
    reset_all_but(&[])
}

/// The same for a program that a person starts, whatever the launcher has left blocked or ignored.
/// Broken pipes stay ignored, as Rust's runtime has it: they are errors of `write`. Where `nohup`,
/// or a shell that starts a program in the background, has ignored what comes from the terminal,
/// that stays as well: a program for which it means something catches it.
///
/// # Errors
///
/// Those of the system.
pub fn reset_inherited_signals() -> io::Result<()> {
    reset_all_but(&[Signal::SIGPIPE, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT])
}

fn reset_all_but(kept: &[Signal]) -> io::Result<()> {
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) && !kept.contains(&signal) {
            dispose(signal, SigHandler::SigDfl)?;
        }
    }
    dispose_real_time(libc::SIG_DFL)?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Lets an interrupt do nothing: the supervisor decides when a worker stops, and no terminal sends
/// one to a worker, which leads a session of its own. It is caught and not ignored, since programs
/// that a script starts would inherit that, and could not be interrupted by it either.
///
/// Ignores broken pipes and the limit of file size, which a script gets as exceptions instead, as
/// in any Python; `subprocess` gives their defaults back to what it starts.
///
/// # Errors
///
/// Those of the system.
pub fn ignore_interrupt_and_write_errors() -> io::Result<()> {
    extern "C" fn nothing(_signal: c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing
    unsafe { sigaction(Signal::SIGINT, &action) }?;
    dispose(Signal::SIGPIPE, SigHandler::SigIgn)?;
    dispose(Signal::SIGXFSZ, SigHandler::SigIgn)
}

/// Ignores all signals by which a person ends or stops a program, since the supervisor gets them as
/// well, and broken pipes.
///
/// # Errors
///
/// Those of the system.
pub fn ignore_requests() -> io::Result<()> {
    let requests =
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGTSTP, Signal::SIGPIPE];
    requests.into_iter().try_for_each(|signal| dispose(signal, SigHandler::SigIgn))
}

/// Ignores every signal that by default ends or stops a program that has no use for it: timers,
/// limits of CPU time and of file size, power failures, background terminal access, the two user
/// signals and the real-time ones. A system call that exceeds a limit still fails, with `EFBIG` for
/// a file.
///
/// The signals by which a person ends a program keep their meaning (`SIGHUP`, `SIGINT`, `SIGQUIT`,
/// `SIGTERM`, `SIGABRT`, `SIGTSTP`), and so do those of faults (`SIGSEGV` and the like).
///
/// # Errors
///
/// Those of the system.
pub fn ignore_stray_signals() -> io::Result<()> {
    let stray = [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGPIPE,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGPWR,
        Signal::SIGSTKFLT,
        Signal::SIGXCPU,
        Signal::SIGXFSZ,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ];
    stray.into_iter().try_for_each(|signal| dispose(signal, SigHandler::SigIgn))?;
    dispose_real_time(libc::SIG_IGN)
}

fn dispose_real_time(handler: libc::sighandler_t) -> io::Result<()> {
    for number in libc::SIGRTMIN()..=libc::SIGRTMAX() {
        // SAFETY: No code of ours runs in a handler, the signal is ignored or has its default.
        let before = unsafe { libc::signal(number, handler) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn dispose(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: no code of ours runs in a handler, the signal is ignored or treated as the system
    // does
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

/// Whether a debugger holds a process. A process that does not exist is not traced.
pub fn is_traced(pid: i32) -> bool {
    status_field(pid, "TracerPid:").is_some_and(|tracer| tracer != "0")
}

/// Whether a process was stopped by a signal (`/proc/PID/status`, state T), and does nothing until it
/// is continued. A process that does not exist is not stopped.
pub fn is_stopped(pid: i32) -> bool {
    status_field(pid, "State:").is_some_and(|state| state.starts_with('T'))
}

/// Whether a process ignores or blocks TERM. A process that does not exist does not.
pub fn withstands_term(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let masks = status.lines().filter_map(|line| {
        line.strip_prefix("SigIgn:").or_else(|| line.strip_prefix("SigBlk:")).map(str::trim)
    });
    let term = 1_u64 << (libc::SIGTERM - 1);
    masks.filter_map(|mask| u64::from_str_radix(mask, 16).ok()).any(|mask| mask & term != 0)
}

/// The value of a line of `/proc/PID/status`; `None` if the process does not exist.
fn status_field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

/// Whether a process is exiting, or has exited: then it closes its descriptors whatever it was
/// doing.
pub fn is_exiting(pid: i32) -> bool {
    /// `PF_EXITING` of the kernel's `linux/sched.h`.
    const EXITING: u64 = 4;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold spaces and brackets, so the fields count from its last bracket: state is
    // the first, flags the 7th.
    let flags = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_none_or(|flags| flags & EXITING != 0)
}
