//! Sends the messages that wait, and decides how to go on where the network does not accept one.

use super::{FIRST_LOST_RETRY_INTERVAL, OscTx, SendHold};
use crate::backends::osc::paths::OscPaths;
use crate::backends::osc::socket::OscSocket;
use nix::errno::Errno;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// The time until the next attempt where the kernel's buffer is full.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// The longest time between two attempts.
const LAST_LOST_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How often sending is tried again at once, when the kernel reports the fate of an earlier
/// datagram in place of sending this one.
const REPORTS_LIMIT: u32 = 8;

/// How to go on when a message was not sent.
#[derive(Debug, PartialEq, Eq)]
enum SendRecovery {
    Again,
    Skip,
    Busy,
    Lost,
}

impl OscTx {
    /// Ends the step and sends what waits, as far as the network accepts it.
    pub fn flush(&mut self, paths: &mut OscPaths, port: &mut OscSocket) {
        self.first_group = self.next_group;
        let is_idle = self.queue.is_empty() && self.waiting.is_empty();
        if is_idle || port.peer().is_none() {
            return;
        }
        if let SendHold::Lost(until) = self.hold
            && Instant::now() < until
        {
            return;
        }
        self.hold = SendHold::None;
        while self.hold == SendHold::None {
            self.fill_queue(paths);
            if self.queue.is_empty() {
                break;
            }
            self.send_queue(paths, port);
        }
    }

    /// Queues the last values of paths that wait, as far as there is space.
    fn fill_queue(&mut self, paths: &mut OscPaths) {
        while !self.queue.is_full()
            && let Some(path) = self.waiting.pop_front()
        {
            if let Some(output) = paths.output(path) {
                output.is_waiting = false;
                self.queue.push(path, output.message.bytes());
            }
        }
    }

    /// Sends the queue, or sets what holds the rest of it up.
    fn send_queue(&mut self, paths: &mut OscPaths, port: &mut OscSocket) {
        let (mut messages, mut bytes, mut reports, mut lost) = (0, 0, 0, None);
        while let Some(length) = self.queue.length(messages) {
            let rest = self.queue.bytes().get(bytes..).unwrap_or_default();
            match port.send(rest, self.queue.lengths().skip(messages)) {
                Ok(sent) => {
                    messages += sent.messages;
                    bytes += sent.bytes;
                    self.note_sent();
                }
                Err(error) => match recovery(&error, self.take_reports(port), &mut reports) {
                    SendRecovery::Again => {}
                    SendRecovery::Skip => {
                        if let Some(output) = self.queue.path(messages).and_then(|path| paths.output(path)) {
                            output.sent_to = 0;
                        }
                        messages += 1;
                        bytes += length;
                        self.warn_of_failure(&error, port);
                    }
                    SendRecovery::Busy => {
                        self.hold = SendHold::Busy(Instant::now() + BUSY_RETRY_INTERVAL);
                        break;
                    }
                    SendRecovery::Lost => {
                        lost = Some(error);
                        break;
                    }
                },
            }
        }
        self.latest = messages.checked_sub(1).and_then(|last| self.queue.path(last)).or(self.latest);
        self.queue.remove(messages, |_| {});
        if let Some(error) = lost {
            self.lose(&error, paths, port);
        }
    }

    /// There is no way to the peer: tries again later.
    pub fn lose(&mut self, error: &io::Error, paths: &mut OscPaths, port: &OscSocket) {
        self.warn_of_failure(error, port);
        self.fault = Some(format!("cannot send: {error}"));
        self.hold = SendHold::Lost(Instant::now() + self.lost_pause);
        self.lost_pause = (self.lost_pause * 2).min(LAST_LOST_RETRY_INTERVAL);
        self.conflate_queue(paths);
    }

    /// Lets the paths of all queued messages wait instead: where nothing can be sent for long, what
    /// is old is not worth sending.
    fn conflate_queue(&mut self, paths: &mut OscPaths) {
        let behind = std::mem::take(&mut self.waiting);
        let Self { queue, waiting, conflated, .. } = self;
        queue.remove(usize::MAX, |path| match paths.output(path) {
            Some(output) if !output.is_waiting => {
                output.is_waiting = true;
                waiting.push_back(path);
            }
            Some(_) => *conflated += 1,
            None => {}
        });
        waiting.extend(behind);
    }

    fn note_sent(&mut self) {
        if self.fault.take().is_some() {
            self.lost_pause = FIRST_LOST_RETRY_INTERVAL;
        }
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(event = "osc_send_resumed", instance = %self.name, "sending works again");
        }
    }

    /// Reads what the kernel reports about earlier datagrams. Returns whether it reported anything.
    pub fn take_reports(&mut self, port: &mut OscSocket) -> bool {
        let reports = port.take_reports();
        if let (Some(errno), Some(peer)) = (reports.of_peer, port.peer()) {
            self.refused += 1;
            self.watch.note_refusal(peer, errno, Instant::now());
        }
        reports.any
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
}

/// `has_reports`: the kernel reported the fate of an earlier datagram, which may be all that the
/// error is about.
fn recovery(error: &io::Error, has_reports: bool, reports: &mut u32) -> SendRecovery {
    match error.kind() {
        ErrorKind::Interrupted => return SendRecovery::Again,
        ErrorKind::WouldBlock => return SendRecovery::Busy,
        _ => {}
    }
    let errno = error.raw_os_error().map(Errno::from_raw);
    if (has_reports || errno == Some(Errno::ECONNREFUSED)) && *reports < REPORTS_LIMIT {
        *reports += 1;
        return SendRecovery::Again;
    }
    match errno {
        Some(Errno::ENOBUFS | Errno::ENOMEM | Errno::ECONNREFUSED) => SendRecovery::Busy,
        // This message can never be sent, and must not hold up the others.
        Some(Errno::EMSGSIZE | Errno::EINVAL) => SendRecovery::Skip,
        _ => SendRecovery::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery_for(errno: Errno) -> SendRecovery {
        recovery(&io::Error::from(errno), false, &mut 0)
    }

    #[test]
    fn what_the_network_does_not_take_is_kept_for_a_while_or_longer() {
        assert_eq!(recovery_for(Errno::EAGAIN), SendRecovery::Busy);
        assert_eq!(recovery_for(Errno::ENOBUFS), SendRecovery::Busy);
        assert_eq!(recovery_for(Errno::ENETUNREACH), SendRecovery::Lost);
    }

    #[test]
    fn what_can_never_go_out_is_skipped() {
        assert_eq!(recovery_for(Errno::EMSGSIZE), SendRecovery::Skip);
    }

    #[test]
    fn a_peer_that_refuses_for_ever_does_not_keep_the_loop() {
        let mut reports = 0;
        let error = io::Error::from(Errno::ECONNREFUSED);
        let waits = (0..100).any(|_| recovery(&error, true, &mut reports) == SendRecovery::Busy);
        assert!(waits);
    }
}
