//! The reaper as a child process of the supervisor: starting it, ending it, and clearing away what
//! a lost one leaves.
//!
//! All of it may take long, and is for a thread or for the end of the program, never for the event
//! loop.

use super::orphans;
use super::protocol::{FdSocket, Reply};
use crate::systemd::ENVIRONMENT;
use mm_shared::sys::inherit;
use mm_shared::sys::process::is_stopped;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// This program, also when its file was replaced in the meantime.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How long a reaper may take to end at the end of the program. It limits itself to a second.
const END_TIMEOUT: Duration = Duration::from_millis(1500);

/// How often the end of a reaper is looked for.
const LOOK: Duration = Duration::from_millis(1);

/// A running reaper.
#[derive(Debug)]
pub struct ReaperChild {
    /// The socket to it.
    pub socket: FdSocket<OwnedFd>,
    /// Its process.
    pub process: Child,
}

impl ReaperChild {
    /// Starts a reaper.
    ///
    /// # Errors
    ///
    /// The system refuses a descriptor or a process.
    pub fn start() -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(THIS_PROGRAM);
        command.arg0("mm-supervisor").arg("reaper").current_dir("/").stdin(theirs).stdout(Stdio::null());
        inherit::pass_only(&mut command, Vec::new());
        // The service manager's variables are for the supervisor; neither the reaper nor its
        // workers pass for it.
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        Ok(Self { socket: FdSocket::new(ours), process: command.spawn()? })
    }

    /// Continues it if it was stopped.
    pub fn resume(&self) {
        let pid = self.process.id().cast_signed();
        if is_stopped(pid) {
            tracing::warn!(event = "reaper_resumed", pid, "reaper process was stopped, continuing it");
            // Until this process waits for it, the number is its own.
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
    }

    /// Its process has ended, or is to: kills it if it runs, and all that it leaves but `keep`.
    /// Returns its status.
    pub fn clear(mut self, keep: &[i32]) -> io::Result<ExitStatus> {
        // One that has ended cannot be killed, which is fine.
        let _ = self.process.kill();
        let status = self.process.wait();
        // Whatever it was the parent of is a child of this process now.
        orphans::clear(keep);
        status
    }

    /// Asks it to end with all that is below it, and waits for that, for a limited time.
    pub fn end(mut self, keep: &[i32]) {
        self.resume();
        // The other direction stays open until it has ended.
        let _ = shutdown(self.socket.socket(), Shutdown::Write);
        let start = Instant::now();
        while start.elapsed() < END_TIMEOUT {
            // It must not wait for room for its replies.
            while self.socket.try_receive::<Reply>().is_ok_and(|reply| reply.is_some()) {}
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return,
                Ok(None) => thread::sleep(LOOK),
                Ok(Some(_)) | Err(_) => break,
            }
        }
        let status = self.clear(keep);
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        tracing::error!(
            event = "reaper_lost",
            reason = %how,
            "reaper process did not end as asked and was killed, all workers with it"
        );
    }
}
