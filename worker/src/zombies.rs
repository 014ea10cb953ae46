//! Bounds the number of zombies: children that have ended without being waited for.
//!
//! This process adopts what the children of its script leave, such as a player that `os.system` has
//! started in the background. When it ends, this process has to wait for it, or it stays in the
//! system's table of processes. But a child that the script has started itself looks the same, and
//! the script may ask for its status at any time. So only the oldest zombies are reaped, once there
//! are many: a script is not expected to ask for these any more.

use mm_shared::sys::children::children;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::io;
use std::thread;
use std::time::Duration;

/// How many zombies may stay.
const ZOMBIES_LIMIT: usize = 256;

/// How often they are counted.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Checks from now on, in a thread of its own.
///
/// # Errors
///
/// The system refuses a thread.
pub fn start() -> io::Result<()> {
    let thread = thread::Builder::new().name("zombies".into());
    thread.spawn(|| {
        loop {
            thread::sleep(CHECK_INTERVAL);
            reap_oldest();
        }
    })?;
    Ok(())
}

/// Waits for the oldest, beyond the limit.
fn reap_oldest() {
    // Without the list they are not found, and stay.
    let mut ended = children().unwrap_or_default();
    ended.retain(|pid| has_ended(Pid::from_raw(*pid)));
    let too_many = ended.len().saturating_sub(ZOMBIES_LIMIT);
    for pid in &ended[..too_many] {
        let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
    }
}

fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid), flags).is_ok_and(|status| status != WaitStatus::StillAlive)
}
