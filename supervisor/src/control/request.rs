//! The requests of clients as the event loop receives them, each with the way to answer it.
//!
//! The loop answers without waiting: a response channel has room for its one response. A client
//! that is gone costs the loop nothing, since a response without a receiver is dropped.

use super::event_stream::EventReceiver;
use super::protocol::{ControlReply, ErrorReply, InstanceNames, Outcome, ShowStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// What a client asks for, checked as far as that is possible without the show.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestBody {
    /// The status of all instances, or one of them in detail.
    Status {
        /// The instance's name.
        instance: Option<String>,
    },
    /// The last values of channels.
    Get {
        /// `INSTANCE.CHANNEL`, at least one.
        channels: Vec<String>,
    },
    /// A command to instances. The response follows when each of them has completed it or failed.
    Command {
        /// The command.
        command: InstanceCommand,
        /// The instances: at least one name, or all.
        names: InstanceNames,
    },
    /// The end of the show. The response follows when all workers are gone.
    Quit,
    /// An event to be routed as if it had come in on that channel, or put out on it.
    Send {
        /// The name of the instance.
        instance: String,
        /// The name of the channel.
        channel: String,
        /// From 0.0 to 1.0.
        value: f64,
        /// Whether the value goes out on the channel.
        out: bool,
    },
    /// All further events, until the client disconnects.
    Monitor {
        /// The channels, as `INSTANCE.CHANNEL` with `*` and `?`; all channels without it.
        pattern: Option<String>,
    },
}

/// What can be done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceCommand {
    /// Stop it, then start it.
    Restart,
    /// Replace its worker as soon as a new one is ready.
    Reload,
    /// Stop it.
    Stop,
    /// Start it.
    Start,
}

/// A request with the way to answer it.
#[derive(Debug)]
pub struct LoopRequest {
    /// The request.
    pub body: RequestBody,
    /// Takes the response. Dropped unused, it tells the client that the show is ending.
    pub responder: Responder,
}

/// What a client is answered.
#[derive(Debug)]
pub enum Response {
    /// One reply, which completes the request.
    Reply(Box<ControlReply>),
    /// The client monitors from here on.
    Monitoring(EventReceiver),
}

/// The loop's end of a response channel.
#[derive(Debug)]
pub struct Responder {
    /// `None` once used.
    responses: Option<SyncSender<Response>>,
    is_wanted: Arc<AtomicBool>,
}

/// The client's end of a response channel.
#[derive(Debug)]
pub struct ResponseReceiver {
    responses: Receiver<Response>,
    /// False once this is dropped. It orders no other memory, so relaxed access is enough.
    is_wanted: Arc<AtomicBool>,
}

/// A new response channel.
#[must_use]
pub fn response_channel() -> (Responder, ResponseReceiver) {
    let (sender, responses) = sync_channel(1);
    let is_wanted = Arc::new(AtomicBool::new(true));
    let responder = Responder { responses: Some(sender), is_wanted: Arc::clone(&is_wanted) };
    (responder, ResponseReceiver { responses, is_wanted })
}

impl Responder {
    /// Whether the client still waits for the response.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Sends the response. Returns whether the client is still connected, as far as is known here.
    pub fn respond(mut self, response: Response) -> bool {
        self.responses.take().is_some_and(|responses| responses.try_send(response).is_ok())
    }

    fn reply(self, reply: ControlReply) -> bool {
        self.respond(Response::Reply(Box::new(reply)))
    }

    /// Answers [`RequestBody::Status`].
    pub fn status(self, status: ShowStatus) -> bool {
        self.reply(ControlReply::Status(status))
    }

    /// Answers [`RequestBody::Command`].
    pub fn done(self, outcomes: Vec<Outcome>) -> bool {
        self.reply(ControlReply::Done(outcomes))
    }

    /// Answers [`RequestBody::Send`].
    pub fn sent(self, destinations: usize) -> bool {
        self.reply(ControlReply::Sent { destinations })
    }

    /// Answers [`RequestBody::Quit`].
    pub fn ended(self, hint: Option<String>) -> bool {
        self.reply(ControlReply::Ended { hint })
    }

    /// Answers any request that one reply completes.
    pub fn result(self, outcome: Result<ControlReply, ErrorReply>) -> bool {
        self.reply(outcome.unwrap_or_else(ControlReply::Refused))
    }

    /// Answers a request that cannot be carried out.
    pub fn refuse(self, error: ErrorReply) -> bool {
        self.reply(ControlReply::Refused(error))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(responses) = self.responses.take() {
            let ending = ControlReply::Refused(ErrorReply::show_is_ending());
            // without a receiver the client is gone
            let _ = responses.try_send(Response::Reply(Box::new(ending)));
        }
    }
}

impl Drop for ResponseReceiver {
    fn drop(&mut self) {
        self.is_wanted.store(false, Ordering::Relaxed);
    }
}

impl ResponseReceiver {
    /// Waits for the response for at most `timeout`; `None` if there was none.
    #[must_use]
    pub fn receive(&self, timeout: Duration) -> Option<Response> {
        match self.responses.recv_timeout(timeout) {
            Ok(response) => Some(response),
            Err(RecvTimeoutError::Timeout) => None,
            // each responder sends something before it is dropped, so this is out of caution
            Err(RecvTimeoutError::Disconnected) => {
                Some(Response::Reply(Box::new(ControlReply::Refused(ErrorReply::show_is_ending()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(receiver: &ResponseReceiver) -> ControlReply {
        match receiver.receive(Duration::ZERO) {
            Some(Response::Reply(reply)) => *reply,
            other => panic!("no reply: {other:?}"),
        }
    }

    #[test]
    fn an_ask_that_is_dropped_is_answered_all_the_same() {
        let (responder, receiver) = response_channel();
        assert!(receiver.receive(Duration::ZERO).is_none());
        drop(responder);
        assert_eq!(received(&receiver), ControlReply::Refused(ErrorReply::new("the show is ending")));
    }

    #[test]
    fn the_first_answer_is_the_one_that_counts() {
        let (responder, receiver) = response_channel();
        assert!(responder.sent(1));
        assert_eq!(received(&receiver), ControlReply::Sent { destinations: 1 });
    }

    #[test]
    fn a_response_to_a_client_that_is_gone_reports_that() {
        let (responder, receiver) = response_channel();
        assert!(responder.is_wanted());
        drop(receiver);
        assert!(!responder.is_wanted());
        assert!(!responder.sent(1));
    }
}
