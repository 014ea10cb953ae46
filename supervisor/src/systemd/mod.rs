//! Notifies systemd of the state of the show, and feeds its watchdog.
//!
//! Without `NOTIFY_SOCKET` in the environment all of this does nothing. The event loop itself
//! writes to the socket, so that a loop that hangs does not feed the watchdog. A write never waits:
//! when the service manager has no room, the latest state is sent again later.
//!
//! Workers have no part in this: [`ENVIRONMENT`] is removed from what they inherit.

mod socket;
#[cfg(test)]
mod tests;

use sd_notify::NotifyState;
use socket::ServiceManagerSocket;
use std::ffi::OsStr;
use std::io;
use std::time::{Duration, Instant};

/// The variables that make a process notify systemd. Workers do not get them.
pub const ENVIRONMENT: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// Between two changes of the status; a show with a script that keeps crashing has many.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Until the next attempt when the service manager had no room.
const NO_ROOM_INTERVAL: Duration = Duration::from_millis(200);

/// Until the next attempt after any other error.
const ERROR_INTERVAL: Duration = Duration::from_secs(5);

/// The most bytes of the status. The service manager takes messages of 4 KiB at most and cuts
/// longer ones.
const STATUS_LIMIT: usize = 1024;

/// The connection to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Systemd {
    socket: Option<ServiceManagerSocket>,
    /// The state to send.
    state: Option<State>,
    /// The state that was sent last.
    sent_state: Option<State>,
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
    is_sent: bool,
    /// The next one is not sent before.
    next: Option<Instant>,
}

/// The service manager's watchdog.
#[derive(Debug, Clone, Copy)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Systemd {
    /// The connection that the environment names. The environment is left as it is.
    #[must_use]
    pub fn from_env(now: Instant) -> Self {
        let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Self::default() };
        match Self::new(&socket, sd_notify::watchdog_enabled(), now) {
            Ok(systemd) => systemd,
            Err(error) => {
                let socket = socket.display();
                tracing::warn!(
                    event = "systemd_unreachable",
                    "cannot notify systemd through `{socket}`: {error}"
                );
                Self::default()
            }
        }
    }

    /// A connection to the socket of a service manager that ends this process when its watchdog has
    /// not been fed for `watchdog`.
    ///
    /// # Errors
    ///
    /// The name is not that of a socket, or the process has no descriptor left.
    pub fn new(socket: &OsStr, watchdog: Option<Duration>, now: Instant) -> io::Result<Self> {
        let socket = Some(ServiceManagerSocket::new(socket)?);
        // Twice as often as necessary, as sd_watchdog_enabled(3) recommends.
        let watchdog =
            watchdog.filter(|limit| !limit.is_zero()).map(|limit| Watchdog { every: limit / 2, next: now });
        Ok(Self { socket, watchdog, ..Self::default() })
    }

    /// Whether a service manager is told of the show.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.socket.is_some()
    }

    /// The show runs, or runs again after [`Systemd::reloading`]. Called again, it only sends the
    /// status.
    pub fn ready(&mut self, status: &str, now: Instant) {
        self.enter(State::Ready, status, now);
    }

    /// The show file is being read again. [`Systemd::ready`] has to follow, also when the file has
    /// errors.
    pub fn reloading(&mut self, status: &str, now: Instant) {
        self.enter(State::Reloading, status, now);
    }

    /// The show ends.
    pub fn stopping(&mut self, status: &str, now: Instant) {
        self.enter(State::Stopping, status, now);
    }

    /// The line that `systemctl status` shows. Costs a comparison as long as it stays the same.
    pub fn status(&mut self, text: &str, now: Instant) {
        if self.socket.is_some() && self.status.set(text) {
            self.feed(now);
        }
    }

    /// When [`Systemd::feed`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.socket.as_ref()?;
        let state = self.state.and(self.pause);
        let status = self.status.is_unsent().then(|| self.status.next.max(self.pause)).flatten();
        let watchdog = self.watchdog.and_then(|watchdog| Some(watchdog.next).max(self.pause));
        [state, status, watchdog].into_iter().flatten().min()
    }

    /// Feeds the watchdog, and sends what could not be sent before, if it is time. To be called in
    /// each turn of the loop: there is no system call as long as there is nothing to send.
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
        match self.socket.as_ref().map_or(Ok(()), |socket| socket.send(&message)) {
            Ok(()) => self.sent(status, now),
            Err(error) => self.failed(&error, now),
        }
    }

    fn enter(&mut self, state: State, status: &str, now: Instant) {
        if self.socket.is_none() {
            return;
        }
        if self.state.or(self.sent_state) == Some(state) {
            self.status(status, now);
            return;
        }
        self.state = Some(state);
        self.status.set(status);
        // It goes with the state, however recently another one was sent.
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
                // Required for services of `Type=notify-reload`. Linux always has that clock.
                lines.extend(NotifyState::monotonic_usec_now());
            }
            None => {}
        }
        lines.extend(status.then_some(NotifyState::Status(&self.status.text)));
        lines.extend(watchdog.then_some(NotifyState::Watchdog));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn sent(&mut self, status: bool, now: Instant) {
        self.sent_state = self.state.take().or(self.sent_state);
        if status {
            self.status.is_sent = true;
            self.status.next = Some(now + STATUS_INTERVAL);
        }
        if let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.next <= now) {
            watchdog.next = now + watchdog.every;
        }
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.pause = Some(now + NO_ROOM_INTERVAL);
            return;
        }
        self.pause = Some(now + ERROR_INTERVAL);
        if let Some(suppressed) = self.socket.as_mut().and_then(|socket| socket.failures.hit(now)) {
            tracing::warn!(event = "systemd_unreachable", suppressed, "cannot notify systemd: {error}");
        }
    }
}

impl Status {
    /// Returns whether the text has changed.
    fn set(&mut self, text: &str) -> bool {
        let text = text.get(..text.floor_char_boundary(STATUS_LIMIT)).unwrap_or_default();
        let one_line = |c: char| if c.is_control() { ' ' } else { c };
        if self.text.chars().eq(text.chars().map(one_line)) {
            return false;
        }
        self.text = text.chars().map(one_line).collect();
        self.is_sent = false;
        true
    }

    fn is_unsent(&self) -> bool {
        !self.is_sent && !self.text.is_empty()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.is_unsent() && self.next.is_none_or(|next| next <= now)
    }
}
