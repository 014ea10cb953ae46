//! Limits and privileges of a process: what the supervisor raises for itself, and what it has that
//! no script is to have.
//!
//! The unit of a supervisor may grant it a priority, and the right to take one. A script that has
//! these too could keep the event loop from running, and every other script. So a worker gives up
//! what makes a process go before ordinary ones, before Python starts ([`give_up_privileges`]):
//!
//! | inherited | in a worker |
//! |---|---|
//! | `RLIMIT_RTPRIO` | 0, soft and hard |
//! | `RLIMIT_NICE` | nice 0 at best, soft and hard |
//! | a real-time class, a negative nice value | an ordinary class, nice 0 |
//! | a real-time class of disk access | the one that follows the nice value |
//! | a negative `oom_score_adj` | 0: the kernel takes a script before the supervisor |
//! | the capabilities `SYS_NICE` and `SYS_RESOURCE` of an ordinary user | none; the superuser's stay |
//! | `RLIMIT_NOFILE` | as the supervisor was started, which raises its own |
//! | signals that are blocked or ignored | none, see [`process`](super::process) |
//!
//! Everything else stays as it was given to the supervisor, since it makes a process give way, or
//! is what the user chose for the whole show: other limits, other capabilities, a positive nice
//! value, a batch or idle class, CPU affinity, timer slack, umask, user and groups, control group
//! and name spaces.

use super::priority;
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::geteuid;
use std::ffi::c_int;
use std::sync::OnceLock;
use std::{fs, io};

/// The most descriptors that a process asks for: what systemd grants its services. No show needs
/// more, and tables of some libraries grow with the limit.
const DESCRIPTORS_LIMIT: rlim_t = 524_288;

/// `RLIMIT_NICE` counts in the other direction: 20 is nice 0 (getrlimit(2)).
const NICE_0: rlim_t = 20;

/// How many descriptors this process might have before it raised that limit.
static INHERITED_DESCRIPTORS: OnceLock<rlim_t> = OnceLock::new();

/// Lets this process have as many descriptors as its hard limit allows, 524,288 at most. What it
/// starts with [`pass_only`](super::inherit::pass_only) gets the limit from before. A limit that
/// cannot be raised stays.
pub fn raise_descriptor_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    INHERITED_DESCRIPTORS.get_or_init(|| soft);
    let wanted = hard.min(DESCRIPTORS_LIMIT);
    if wanted > soft {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
    }
}

/// In a child between `fork` and `exec`: the limit from before [`raise_descriptor_limit`]. Makes
/// system calls only.
pub(super) fn restore_descriptor_limit() {
    let Some(inherited) = INHERITED_DESCRIPTORS.get() else { return };
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(*inherited), hard);
    }
}

/// Gives up what lets this process go before ordinary ones, or take such a right. To be called
/// while it has one thread.
///
/// # Errors
///
/// The first of the system's; the rest is given up nevertheless.
pub fn give_up_privileges() -> io::Result<()> {
    let outcomes = [
        lower_limit(Resource::RLIMIT_RTPRIO, 0),
        lower_limit(Resource::RLIMIT_NICE, NICE_0),
        priority::become_ordinary(),
        raise_oom_score(),
        drop_capabilities(),
    ];
    outcomes.into_iter().collect()
}

fn lower_limit(resource: Resource, most: rlim_t) -> io::Result<()> {
    let (soft, hard) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(most), hard.min(most))?)
}

fn raise_oom_score() -> io::Result<()> {
    const FILE: &str = "/proc/self/oom_score_adj";
    // Without `/proc` it stays as it is.
    let text = fs::read_to_string(FILE).unwrap_or_default();
    if text.trim().parse::<i32>().is_ok_and(|score| score < 0) { fs::write(FILE, "0") } else { Ok(()) }
}

/// The superuser keeps its capabilities: programs that a script starts would get them back anyway.
fn drop_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3` of the kernel's `linux/capability.h`.
    const VERSION: u32 = 0x2008_0522;
    const SYS_NICE: u32 = 23;
    const SYS_RESOURCE: u32 = 24;

    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }

    /// Capabilities 0 to 31, or 32 to 63.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }

    if geteuid().is_root() {
        return Ok(());
    }
    let mut header = Header { version: VERSION, pid: 0 };
    let mut sets = [Sets::default(); 2];
    // SAFETY: reads the header and writes two sets, as that version has it; both live on this stack
    let outcome = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    Errno::result(outcome)?;
    let dropped: u32 = (1 << SYS_NICE) | (1 << SYS_RESOURCE);
    if (sets[0].permitted | sets[0].inheritable) & dropped == 0 {
        return Ok(());
    }
    sets[0].effective &= !dropped;
    sets[0].permitted &= !dropped;
    // The ambient set, which is kept over an `exec`, loses what this one loses.
    sets[0].inheritable &= !dropped;
    // SAFETY: reads the header and two sets, which live on this stack
    let outcome = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    Errno::result(outcome)?;
    Ok(())
}
