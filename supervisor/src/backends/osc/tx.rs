//! Values on their way out: kept with their path, sent once at the end of a routing step, and kept longer where the
//! network does not take them.

use super::options::OscDestination;
use super::paths::{OscPath, OscPaths, PathFormat};
use super::socket::{BATCH, OscSocket};
use mm_shared::{ChannelId, LogThrottle};
use nix::errno::Errno;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The kernel's buffer is full: it will not be for long.
const RETRY_SOON: Duration = Duration::from_millis(5);
/// The network is gone: it takes a hand to plug it in again.
const RETRY_LATER: Duration = Duration::from_secs(1);
/// How often the log says that sending fails.
const FAILURE_PERIOD: Duration = Duration::from_secs(60);

/// What an instance keeps between two routing steps.
#[derive(Debug)]
pub struct OscTx {
    name: String,
    destination: OscDestination,
    /// Whether it has been said that there is no destination.
    warned: bool,
    /// Number of the peer that is sent to: a new one has received nothing yet. From 1.
    peer: u32,
    /// The paths to send, each once.
    queue: Vec<u32>,
    retry: Option<Instant>,
    failed: LogThrottle,
    /// Whether the last word in the log was of a failure.
    failing: bool,
}

/// What to do when a message could not be sent.
#[derive(Debug, PartialEq, Eq)]
enum SendRecovery {
    Again,
    Skip,
    Wait(Duration),
}

impl OscTx {
    pub fn new(name: String, destination: OscDestination) -> Self {
        let (queue, failed) = (Vec::new(), LogThrottle::new(1, FAILURE_PERIOD));
        Self { name, destination, warned: false, peer: 1, queue, retry: None, failed, failing: false }
    }

    /// Where it sends to.
    pub fn destination(&self) -> &OscDestination {
        &self.destination
    }

    /// Whether senders are of interest.
    pub fn learns(&self) -> bool {
        matches!(self.destination, OscDestination::Learn { .. })
    }

    /// A sound packet came from `sender`.
    pub fn learn(&mut self, sender: SocketAddr, port: &mut OscSocket) {
        let OscDestination::Learn { port: forced } = self.destination else { return };
        let mut address = sender;
        address.set_port(forced.unwrap_or(sender.port()));
        if port.peer() != Some(address) {
            port.set_peer(address);
            self.peer = self.peer.wrapping_add(1).max(1);
            tracing::debug!(event = "osc_destination_learned", instance = %self.name, "learned the destination {address}");
        }
    }

    /// Takes in a value for a channel. Before a destination is learned it is remembered, but nothing is sent.
    pub fn set(&mut self, channel: ChannelId, value: f64, paths: &mut OscPaths, port: &OscSocket) {
        if self.destination == OscDestination::None {
            return self.warn_of_destination();
        }
        let Some((target, path)) = paths.of_channel(channel) else { return };
        let PathFormat::Known { ranges, output } = &mut path.format else { return self.warn_of_format(path) };
        let Some(range) = ranges.get(target.parameter as usize) else { return };
        let changed = output.message.set(target.parameter, range.denormalise(value));
        let event = changed || output.sent_to != self.peer;
        if event && !output.queued && port.peer().is_some() {
            output.queued = true;
            self.queue.push(target.path);
        }
    }

    /// A channel had this value in an earlier run: its message carries it from now on, and is not sent for it.
    pub fn restore(channel: ChannelId, value: f64, paths: &mut OscPaths) {
        let Some((target, path)) = paths.of_channel(channel) else { return };
        let PathFormat::Known { ranges, output } = &mut path.format else { return };
        if let Some(range) = ranges.get(target.parameter as usize) {
            output.message.set(target.parameter, range.denormalise(value));
        }
    }

    fn warn_of_destination(&mut self) {
        let name = &self.name;
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                event = "osc_destination_missing",
                instance = %name,
                "`{name}` has no destination, so nothing is sent; \
                 add a line such as `destination = 127.0.0.1 9000` to `[osc {name}]`"
            );
        }
    }

    fn warn_of_format(&self, path: &mut OscPath) {
        let PathFormat::Unknown { warned } = &mut path.format else { return };
        if std::mem::replace(warned, true) {
            return;
        }
        let (name, local, line) = (&self.name, &path.local, path.missing_line());
        tracing::warn!(
            event = "osc_output_unformatted",
            instance = %name,
            "`{name}.{local}` is not sent, since no pattern gives its format; \
             add a line such as `{line}` to `[osc {name}]`"
        );
    }

    /// Forgets what is queued: the paths are about to be others, and their numbers with them.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.retry = None;
        self.warned = false;
    }

    /// Sends what is queued.
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
                    if std::mem::take(&mut self.failing) {
                        tracing::info!(event = "osc_send_resumed", instance = %self.name, "sending works again");
                    }
                }
                Err(error) => match remedy(&error, &mut refused) {
                    SendRecovery::Again => {}
                    SendRecovery::Skip => {
                        batch.iter().take(1).for_each(|path| mark_sent(paths, *path, 0));
                        done += 1;
                        self.warn_of_failure(&error, port);
                    }
                    SendRecovery::Wait(pause) => {
                        self.retry = Some(Instant::now() + pause);
                        if pause == RETRY_LATER {
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
        if let Some(suppressed) = self.failed.hit(Instant::now()) {
            self.failing = true;
            let peer = port.peer().map(|peer| peer.to_string()).unwrap_or_default();
            tracing::warn!(event = "osc_send_failed", instance = %self.name, suppressed, "cannot send to {peer}: {error}");
        }
    }

    /// Messages that could not be sent.
    pub fn errors(&self) -> u64 {
        self.failed.total()
    }

    /// When [`OscTx::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        [self.retry, self.failed.deadline()].into_iter().flatten().min()
    }

    /// Tries again what did not go out, and says how often that failed.
    pub fn tick(&mut self, now: Instant, paths: &mut OscPaths, port: &mut OscSocket) {
        if self.retry.is_some_and(|retry| retry <= now) {
            self.flush(paths, port);
        }
        if let Some(count) = self.failed.flush(now) {
            tracing::warn!(event = "osc_send_failed", instance = %self.name, "sending failed {count} more times");
        }
    }
}

/// `peer` is the number of the one who got it, 0 for none.
fn mark_sent(paths: &mut OscPaths, path: u32, peer: u32) {
    if let Some(output) = paths.output(path) {
        output.queued = false;
        output.sent_to = peer;
    }
}

fn remedy(error: &io::Error, refused: &mut u32) -> SendRecovery {
    match error.kind() {
        ErrorKind::Interrupted => SendRecovery::Again,
        // The system tells of an earlier datagram that nobody was there; the one at hand was not sent for that.
        ErrorKind::ConnectionRefused if *refused < 2 => {
            *refused += 1;
            SendRecovery::Again
        }
        ErrorKind::WouldBlock | ErrorKind::ConnectionRefused => SendRecovery::Wait(RETRY_SOON),
        _ => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOBUFS | Errno::ENOMEM) => SendRecovery::Wait(RETRY_SOON),
            // This one will never go out; it shall not keep the others back.
            Some(Errno::EMSGSIZE | Errno::EINVAL) => SendRecovery::Skip,
            _ => SendRecovery::Wait(RETRY_LATER),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy_for(errno: Errno) -> SendRecovery {
        remedy(&io::Error::from(errno), &mut 0)
    }

    #[test]
    fn what_the_network_does_not_take_is_kept_for_a_while_or_longer() {
        assert_eq!(remedy_for(Errno::EAGAIN), SendRecovery::Wait(RETRY_SOON));
        assert_eq!(remedy_for(Errno::ENOBUFS), SendRecovery::Wait(RETRY_SOON));
        assert_eq!(remedy_for(Errno::ENETUNREACH), SendRecovery::Wait(RETRY_LATER));
    }

    #[test]
    fn what_can_never_go_out_is_skipped() {
        assert_eq!(remedy_for(Errno::EMSGSIZE), SendRecovery::Skip);
    }

    #[test]
    fn a_peer_that_refuses_for_ever_does_not_keep_the_loop() {
        let mut refused = 0;
        let error = io::Error::from(Errno::ECONNREFUSED);
        let waits = (0..10).any(|_| matches!(remedy(&error, &mut refused), SendRecovery::Wait(_)));
        assert!(waits);
    }
}
