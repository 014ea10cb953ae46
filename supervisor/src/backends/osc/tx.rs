//! The sending side: keeps values with their path, sends each path once at the end of a routing
//! step, and tries again later where the network does not accept a message.

use super::options::OscDestination;
use super::paths::{OscPath, OscPaths, PathFormat};
use super::socket::{BATCH, OscSocket};
use mm_shared::{ChannelId, LogThrottle};
use nix::errno::Errno;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The time until the next attempt where the kernel's buffer is full.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// The time until the next attempt where the network is gone.
const LOST_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a failure to send is logged.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The sending side of an instance.
#[derive(Debug)]
pub struct OscTx {
    name: String,
    destination: OscDestination,
    /// Whether the missing destination has been logged. It stays missing until a reload.
    has_warned: bool,
    /// Counts the peers that were learned, from 1: a new peer has received nothing yet.
    peer: u32,
    /// Indices of the paths to send, each once.
    queue: Vec<u32>,
    retry: Option<Instant>,
    failures: LogThrottle,
    /// Whether a failure was logged since a message was sent last.
    is_failing: bool,
}

/// How to go on when a message was not sent.
#[derive(Debug, PartialEq, Eq)]
enum SendRecovery {
    Again,
    Skip,
    Wait(Duration),
}

impl OscTx {
    pub fn new(name: String, destination: OscDestination) -> Self {
        let (queue, failures) = (Vec::new(), LogThrottle::new(1, FAILURE_LOG_INTERVAL));
        Self {
            name,
            destination,
            has_warned: false,
            peer: 1,
            queue,
            retry: None,
            failures,
            is_failing: false,
        }
    }

    pub fn destination(&self) -> &OscDestination {
        &self.destination
    }

    /// Whether the destination is the last sender.
    pub fn learns(&self) -> bool {
        matches!(self.destination, OscDestination::Learn { .. })
    }

    /// Makes `sender`, from which a well-formed packet came, the destination.
    pub fn learn(&mut self, sender: SocketAddr, port: &mut OscSocket) {
        let OscDestination::Learn { port: forced } = self.destination else { return };
        let mut address = sender;
        address.set_port(forced.unwrap_or(sender.port()));
        if port.peer() != Some(address) {
            port.set_peer(address);
            self.peer = self.peer.wrapping_add(1).max(1);
            tracing::debug!(
                event = "osc_destination_learned",
                instance = %self.name,
                "learned the destination {address}"
            );
        }
    }

    /// Sets a channel to a value, which [`OscTx::flush`] sends. Before a destination is learned,
    /// the value is stored only.
    pub fn set(&mut self, channel: ChannelId, value: f64, paths: &mut OscPaths, port: &OscSocket) {
        if self.destination == OscDestination::None {
            return self.warn_of_destination();
        }
        let Some((target, path)) = paths.of_channel(channel) else { return };
        let PathFormat::Known { ranges, output } = &mut path.format else { return self.warn_of_format(path) };
        let Some(range) = ranges.get(target.parameter as usize) else { return };
        let changed = output.message.set(target.parameter, range.denormalise(value));
        let is_new = changed || output.sent_to != self.peer;
        if is_new && !output.queued && port.peer().is_some() {
            output.queued = true;
            self.queue.push(target.path);
        }
    }

    /// A channel had this value in an earlier run: its message contains it from now on, but is not
    /// sent.
    pub fn restore(channel: ChannelId, value: f64, paths: &mut OscPaths) {
        let Some((target, path)) = paths.of_channel(channel) else { return };
        let PathFormat::Known { ranges, output } = &mut path.format else { return };
        if let Some(range) = ranges.get(target.parameter as usize) {
            output.message.set(target.parameter, range.denormalise(value));
        }
    }

    fn warn_of_destination(&mut self) {
        let name = &self.name;
        if !std::mem::replace(&mut self.has_warned, true) {
            tracing::warn!(
                event = "osc_destination_missing",
                instance = %name,
                "`{name}` has no destination, so nothing is sent; \
                 add a line such as `destination = 127.0.0.1 9000` to `[osc {name}]`"
            );
        }
    }

    fn warn_of_format(&self, path: &mut OscPath) {
        let PathFormat::Unknown { has_warned } = &mut path.format else { return };
        if std::mem::replace(has_warned, true) {
            return;
        }
        let (name, local, line) = (&self.name, &path.local, path.missing_line());
        tracing::warn!(
            event = "osc_output_unformatted",
            instance = %name,
            "`{name}.{local}` is not sent: no pattern matches it; \
             add a line such as `{line}` to `[osc {name}]`"
        );
    }

    /// Empties the queue: the paths are about to change, and their indices with them.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.retry = None;
        self.has_warned = false;
    }

    /// Sends the queued paths.
    pub fn flush(&mut self, paths: &mut OscPaths, port: &mut OscSocket) {
        if self.queue.is_empty() {
            return;
        }
        let mut done = 0;
        let mut refused = 0;
        self.retry = None;
        while let Some(rest) = self.queue.get(done..).filter(|rest| !rest.is_empty()) {
            let batch = &rest[..rest.len().min(BATCH)];
            match port.send(batch.iter().map(|path| paths.datagram(*path))) {
                Ok(sent) => {
                    batch.iter().take(sent).for_each(|path| mark_sent(paths, *path, self.peer));
                    done += sent;
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!(
                            event = "osc_send_resumed",
                            instance = %self.name,
                            "sending works again"
                        );
                    }
                }
                Err(error) => match recovery(&error, &mut refused) {
                    SendRecovery::Again => {}
                    SendRecovery::Skip => {
                        batch.iter().take(1).for_each(|path| mark_sent(paths, *path, 0));
                        done += 1;
                        self.warn_of_failure(&error, port);
                    }
                    SendRecovery::Wait(pause) => {
                        self.retry = Some(Instant::now() + pause);
                        if pause == LOST_RETRY_INTERVAL {
                            self.warn_of_failure(&error, port);
                        }
                        break;
                    }
                },
            }
        }
        self.queue.drain(..done);
    }

    fn warn_of_failure(&mut self, error: &io::Error, port: &OscSocket) {
        if let Some(suppressed) = self.failures.hit(Instant::now()) {
            self.is_failing = true;
            let peer = port.peer().map(|peer| peer.to_string()).unwrap_or_default();
            tracing::warn!(
                event = "osc_send_failed",
                instance = %self.name,
                suppressed,
                "cannot send to {peer}: {error}"
            );
        }
    }

    /// How many attempts to send have failed.
    pub fn errors(&self) -> u64 {
        self.failures.total()
    }

    /// When [`OscTx::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        [self.retry, self.failures.deadline()].into_iter().flatten().min()
    }

    /// Sends again what was not accepted, and logs how often that has failed.
    pub fn tick(&mut self, now: Instant, paths: &mut OscPaths, port: &mut OscSocket) {
        if self.retry.is_some_and(|retry| retry <= now) {
            self.flush(paths, port);
        }
        if let Some(count) = self.failures.flush(now) {
            tracing::warn!(
                event = "osc_send_failed",
                instance = %self.name,
                suppressed = count,
                "sending failed {count} more times"
            );
        }
    }
}

/// `peer` is the number of the peer that received the message; 0: none.
fn mark_sent(paths: &mut OscPaths, path: u32, peer: u32) {
    if let Some(output) = paths.output(path) {
        output.queued = false;
        output.sent_to = peer;
    }
}

fn recovery(error: &io::Error, refused: &mut u32) -> SendRecovery {
    match error.kind() {
        ErrorKind::Interrupted => SendRecovery::Again,
        // The system reports that no process received an earlier datagram. This one was not sent
        // because of that.
        ErrorKind::ConnectionRefused if *refused < 2 => {
            *refused += 1;
            SendRecovery::Again
        }
        ErrorKind::WouldBlock | ErrorKind::ConnectionRefused => SendRecovery::Wait(BUSY_RETRY_INTERVAL),
        _ => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOBUFS | Errno::ENOMEM) => SendRecovery::Wait(BUSY_RETRY_INTERVAL),
            // This message can never be sent, and must not hold up the others.
            Some(Errno::EMSGSIZE | Errno::EINVAL) => SendRecovery::Skip,
            _ => SendRecovery::Wait(LOST_RETRY_INTERVAL),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery_for(errno: Errno) -> SendRecovery {
        recovery(&io::Error::from(errno), &mut 0)
    }

    #[test]
    fn what_the_network_does_not_take_is_kept_for_a_while_or_longer() {
        assert_eq!(recovery_for(Errno::EAGAIN), SendRecovery::Wait(BUSY_RETRY_INTERVAL));
        assert_eq!(recovery_for(Errno::ENOBUFS), SendRecovery::Wait(BUSY_RETRY_INTERVAL));
        assert_eq!(recovery_for(Errno::ENETUNREACH), SendRecovery::Wait(LOST_RETRY_INTERVAL));
    }

    #[test]
    fn what_can_never_go_out_is_skipped() {
        assert_eq!(recovery_for(Errno::EMSGSIZE), SendRecovery::Skip);
    }

    #[test]
    fn a_peer_that_refuses_for_ever_does_not_keep_the_loop() {
        let mut refused = 0;
        let error = io::Error::from(Errno::ECONNREFUSED);
        let waits = (0..10).any(|_| matches!(recovery(&error, &mut refused), SendRecovery::Wait(_)));
        assert!(waits);
    }
}
