//! What systemd is told about the show, and the watchdog that it keeps over the core loop.
//!
//! Without `NOTIFY_SOCKET` in the environment all of this does nothing. The core loop itself writes to the socket, so
//! that never waits: what the service manager has no room for is tried again later, and only the latest counts. That
//! the loop does it is the point of the watchdog: a loop that hangs feeds nobody.
//!
//! Workers are no part of this: whoever starts one takes [`ENVIRONMENT`] out of what it inherits.

mod link;
#[cfg(test)]
mod tests;

use link::Link;
use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::time::{Duration, Instant};

/// What makes a process believe that systemd waits for word from it. Not for workers.
pub const ENVIRONMENT: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Changes of the status are told this often at most; a show with a script that keeps crashing has many.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// When to try again what found no room.
const NO_ROOM: Duration = Duration::from_millis(200);

/// When to try again after any other error.
const BROKEN: Duration = Duration::from_secs(5);

/// The service manager takes messages of 4 KiB at most, the rest of a line would be lost with what follows.
const STATUS_BYTES: usize = 1024;

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Systemd {
    link: Option<Link>,
    /// The state that it does not know yet.
    state: Option<State>,
    /// The state that it knows.
    told: Option<State>,
    status: Status,
    watchdog: Option<Watchdog>,
    /// Nothing is sent before.
    pause: Option<Instant>,
}

/// How far the service is, in systemd's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Reloading,
    Stopping,
}

/// The line that `systemctl status` shows.
#[derive(Debug, Default)]
struct Status {
    text: String,
    told: bool,
    /// Not told again before.
    next: Option<Instant>,
}

/// The watchdog that waits to be fed.
#[derive(Debug, Clone, Copy)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Systemd {
    /// What the environment says. The environment is left as it is.
    #[must_use]
    pub fn from_env(now: Instant) -> Self {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        match Self::new(&socket, sd_notify::watchdog_enabled(), now) {
            Ok(systemd) => systemd,
            Err(error) => {
                tracing::warn!(
                    event = "systemd_unreachable",
                    "cannot notify systemd through `{}`: {error}",
                    socket.display()
                );
                Self::default()
            }
        }
    }

    /// A way to the socket of a service manager that ends this process when it has not been fed for `watchdog`.
    ///
    /// # Errors
    ///
    /// The socket's name cannot be one, or the process has no descriptor left.
    pub fn new(socket: &OsStr, watchdog: Option<Duration>, now: Instant) -> io::Result<Self> {
        let link = Some(Link::new(socket)?);
        // twice as often as it has to be, as systemd's manual advises
        let watchdog =
            watchdog.filter(|limit| !limit.is_zero()).map(|limit| Watchdog { every: limit / 2, next: now });
        Ok(Self { link, watchdog, ..Self::default() })
    }

    /// The show runs, or runs again after [`Systemd::reloading`]. Said again, only the status is told.
    pub fn ready(&mut self, status: &str, now: Instant) {
        self.enter(State::Ready, status, now);
    }

    /// The show file is being read again; whatever comes of it, [`Systemd::ready`] has to follow.
    pub fn reloading(&mut self, status: &str, now: Instant) {
        self.enter(State::Reloading, status, now);
    }

    /// The show ends.
    pub fn stopping(&mut self, status: &str, now: Instant) {
        self.enter(State::Stopping, status, now);
    }

    /// What `systemctl status` shows, one line. Costs a comparison as long as it is the same.
    pub fn status(&mut self, text: &str, now: Instant) {
        if self.link.is_some() && self.status.set(text) {
            self.feed(now);
        }
    }

    /// When [`Systemd::feed`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.link.as_ref()?;
        let state = self.state.and(self.pause);
        let status = self.status.is_unsaid().then(|| self.status.next.max(self.pause)).flatten();
        let watchdog = self.watchdog.and_then(|watchdog| Some(watchdog.next).max(self.pause));
        [state, status, watchdog].into_iter().flatten().min()
    }

    /// Feeds the watchdog, and says what could not be said before, if it is time. To be called in each turn of the
    /// loop: no system call as long as there is nothing to say.
    pub fn feed(&mut self, now: Instant) {
        if self.pause.is_some_and(|pause| pause > now) {
            return;
        }
        self.pause = None;
        let watchdog = self.watchdog.filter(|watchdog| watchdog.next <= now);
        let status = self.status.is_due(now);
        if self.state.is_none() && watchdog.is_none() && !status {
            return;
        }
        let message = self.message(status, watchdog.is_some());
        match self.link.as_ref().map_or(Ok(()), |link| link.send(&message)) {
            Ok(()) => self.sent(status, now),
            Err(error) => self.failed(&error, now),
        }
    }

    fn enter(&mut self, state: State, status: &str, now: Instant) {
        if self.link.is_none() {
            return;
        }
        if self.state.or(self.told) == Some(state) {
            self.status(status, now);
            return;
        }
        self.state = Some(state);
        self.status.set(status);
        // told with the state, however recently there was another one
        self.status.next = None;
        self.feed(now);
    }

    fn message(&self, status: bool, watchdog: bool) -> String {
        let mut lines = Vec::new();
        match self.state {
            Some(State::Ready) => lines.push(NotifyState::Ready),
            Some(State::Stopping) => lines.push(NotifyState::Stopping),
            Some(State::Reloading) => {
                lines.push(NotifyState::Reloading);
                // required for services of the type `notify-reload`; Linux always has that clock
                lines.extend(NotifyState::monotonic_usec_now());
            }
            None => {}
        }
        lines.extend(status.then_some(NotifyState::Status(&self.status.text)));
        lines.extend(watchdog.then_some(NotifyState::Watchdog));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn sent(&mut self, status: bool, now: Instant) {
        self.told = self.state.take().or(self.told);
        if status {
            self.status.told = true;
            self.status.next = Some(now + STATUS_EVERY);
        }
        if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.next <= now) {
            watchdog.next = now + watchdog.every;
        }
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.pause = Some(now + NO_ROOM);
            return;
        }
        self.pause = Some(now + BROKEN);
        if let Some(suppressed) = self.link.as_mut().and_then(|link| link.failures.hit(now)) {
            tracing::warn!(event = "systemd_unreachable", suppressed, "cannot notify systemd: {error}");
        }
    }
}

impl Status {
    /// Says whether it is another text than before.
    fn set(&mut self, text: &str) -> bool {
        let text = text.get(..text.floor_char_boundary(STATUS_BYTES)).unwrap_or_default();
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        if self.text.chars().eq(text.chars().map(one_line)) {
            return false;
        }
        self.text = text.chars().map(one_line).collect();
        self.told = false;
        true
    }

    fn is_unsaid(&self) -> bool {
        !self.told && !self.text.is_empty()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.is_unsaid() && self.next.is_none_or(|next| next <= now)
    }
}
