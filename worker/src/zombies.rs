//! Bounds the number of children that have ended and that nobody waits for.
//!
//! This process adopts what the children of its script leave, such as a player that `os.system` has started in the
//! background. When that ends, somebody has to take note of it, or it stays in the system's table of processes. But a
//! child that the script has started itself looks the same, and the script is to get its status whenever it asks. So
//! only what has ended before many others is taken note of: a script does not ask for that any more.

use mm_shared::sys::children::children;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::io;
use std::thread;
use std::time::Duration;

/// How many may be left.
const MOST: usize = 256;

/// How often they are counted.
const PERIOD: Duration = Duration::from_secs(10);

/// Counts from now on, in a thread of its own.
///
/// # Errors
///
/// The system refuses a thread.
pub fn start() -> io::Result<()> {
    let thread = thread::Builder::new().name("zombies".into());
    thread.spawn(|| {
        loop {
            thread::sleep(PERIOD);
            bury();
        }
    })?;
    Ok(())
}

/// Takes note of the oldest.
fn bury() {
    // without the list they are not found, and stay
    let mut ended = children().unwrap_or_default();
    ended.retain(|pid| has_ended(Pid::from_raw(*pid)));
    let too_many = ended.len().saturating_sub(MOST);
    for pid in &ended[..too_many] {
        let _ = waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG));
    }
}

fn has_ended(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid), flags).is_ok_and(|status| status != WaitStatus::StillAlive)
}
