//! What clients can ask of a running show, as the event loop sees it: an ask with a way to answer it.
//!
//! The loop answers without waiting. Each ask has a lane of its own: a bounded queue without a lock, which the
//! server's thread empties. Once its client is gone, a lane takes nothing any more and says so.

use super::protocol::{Direction, ErrorReply, Outcome, PassingEvent, Reply, Status};
use mm_shared::Doorbell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// How the instances are.
    Status,
    /// Something is to be done to instances, all of which are named; the answer comes when all have come to an end of it.
    Act {
        /// What.
        act: Act,
        /// To which instances, by name.
        instances: Vec<String>,
    },
    /// An event is to be put in as if it had come in on that channel.
    Send {
        /// The instance, by name.
        instance: String,
        /// The channel, by name.
        channel: String,
        /// The value, from 0.0 to 1.0.
        value: f64,
    },
    /// Events are to be shown as they pass, until the client goes.
    Monitor {
        /// Which channels, as `INSTANCE.CHANNEL` with `*` and `?`; all of them without it.
        pattern: Option<String>,
    },
}

/// What can be done to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Stop it, then start it.
    Restart,
    /// Replace its worker by a new one as soon as that is ready.
    Reload,
    /// Stop it.
    Stop,
    /// Start it.
    Start,
}

/// An ask with the way back to who asks.
#[derive(Debug)]
pub struct Asked {
    /// What is asked for.
    pub ask: Ask,
    /// The way back. To drop it without a word tells the client that the show is ending.
    pub answer: Answer,
}

/// Events that wait for a client that monitors, before they are dropped and counted.
const MONITOR_CAPACITY: usize = 4096;

/// A channel's full name, in its two halves.
#[derive(Debug, PartialEq, Eq)]
pub struct ChannelName {
    /// The instance's.
    pub instance: String,
    /// The channel's.
    pub channel: String,
}

/// An event for a client, without a copy of its name.
#[derive(Debug, Clone)]
pub struct Passing {
    /// Where.
    pub name: Arc<ChannelName>,
    /// Which way it went.
    pub way: Direction,
    /// From 0.0 to 1.0.
    pub value: f64,
    /// When, in milliseconds since the beginning of 1970 (UTC).
    pub time_ms: u64,
}

/// What travels in a lane.
#[derive(Debug)]
enum Word {
    Reply(Box<Reply>),
    Event(Passing),
    Dropped(u64),
}

/// The way back to a client: the loop's end of a lane.
#[derive(Debug)]
pub struct Answer {
    words: SyncSender<Word>,
    /// Events that found no room and that the client has not been told of.
    dropped: Arc<AtomicU64>,
    bell: Arc<Doorbell>,
}

/// The server's end of a lane.
#[derive(Debug)]
pub struct Lane {
    words: Receiver<Word>,
    dropped: Arc<AtomicU64>,
    /// Whether replies go on until the client goes.
    pub monitors: bool,
}

/// What comes out of a lane.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// This.
    Reply(Reply),
    /// Nothing for now.
    Nothing,
    /// The loop has let go of the other end.
    Ended,
}

/// A lane for `ask`, and its other end. The bell wakes whoever reads the lane.
#[must_use]
pub fn lane(ask: &Ask, bell: &Arc<Doorbell>) -> (Answer, Lane) {
    let monitors = matches!(ask, Ask::Monitor { .. });
    let (sender, receiver) = sync_channel(if monitors { MONITOR_CAPACITY } else { 1 });
    let dropped = Arc::new(AtomicU64::new(0));
    let answer = Answer { words: sender, dropped: Arc::clone(&dropped), bell: Arc::clone(bell) };
    (answer, Lane { words: receiver, dropped, monitors })
}

impl Answer {
    /// Gives a reply. False: the client is gone, and nothing more needs to be said to it.
    pub fn give(&self, reply: Reply) -> bool {
        let outcome = self.words.try_send(Word::Reply(Box::new(reply)));
        self.bell.ring();
        !matches!(outcome, Err(TrySendError::Disconnected(_)))
    }

    /// The answer to [`Ask::Status`].
    pub fn status(&self, status: Status) -> bool {
        self.give(Reply::Status(status))
    }

    /// The answer to [`Ask::Act`].
    pub fn done(&self, outcomes: Vec<Outcome>) -> bool {
        self.give(Reply::Done(outcomes))
    }

    /// The answer to [`Ask::Send`].
    pub fn sent(&self) -> bool {
        self.give(Reply::Sent {})
    }

    /// The answer to what cannot be done.
    pub fn refuse(&self, refusal: ErrorReply) -> bool {
        self.give(Reply::Refused(refusal))
    }

    /// Gives an event, without waking who reads it: [`Answer::wake`] does, once for many. What finds no room is
    /// counted, and the count goes out where the gap is. False: the client is gone.
    pub fn pass(&self, event: Passing) -> bool {
        // the counter decides nothing but what is told; no other memory depends on its order
        let missed = match self.dropped.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.dropped.swap(0, Ordering::Relaxed),
        };
        let told = if missed == 0 { Ok(()) } else { self.words.try_send(Word::Dropped(missed)) };
        match told.and_then(|()| self.words.try_send(Word::Event(event))) {
            Ok(()) => true,
            Err(TrySendError::Full(Word::Dropped(missed))) => self.miss(missed + 1),
            Err(TrySendError::Full(_)) => self.miss(1),
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    fn miss(&self, count: u64) -> bool {
        self.dropped.fetch_add(count, Ordering::Relaxed);
        true
    }

    /// Wakes who reads what was given by [`Answer::pass`].
    pub fn wake(&self) {
        self.bell.ring();
    }

    /// Whether the client is gone.
    #[must_use]
    pub fn is_forsaken(&self) -> bool {
        // the lane holds the only other handle
        Arc::strong_count(&self.dropped) == 1
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // only heard where nothing was answered: the reader is content with its one reply
        let ending = ErrorReply::new("the show is ending");
        let _ = self.words.try_send(Word::Reply(Box::new(Reply::Refused(ending))));
        self.bell.ring();
    }
}

impl Lane {
    /// The next reply, if there is one.
    pub fn hear(&self) -> Heard {
        match self.words.try_recv() {
            Ok(Word::Reply(reply)) => Heard::Reply(*reply),
            Ok(Word::Event(event)) => Heard::Reply(Reply::Event(event.into())),
            Ok(Word::Dropped(count)) => Heard::Reply(Reply::Dropped(count)),
            Err(TryRecvError::Disconnected) => Heard::Ended,
            // nothing is on its way that could tell of the gap, so it is told of here
            Err(TryRecvError::Empty) => match self.dropped.swap(0, Ordering::Relaxed) {
                0 => Heard::Nothing,
                count => Heard::Reply(Reply::Dropped(count)),
            },
        }
    }
}

impl From<Passing> for PassingEvent {
    fn from(event: Passing) -> Self {
        let Passing { name, way, value, time_ms } = event;
        let (instance, channel) = (name.instance.clone(), name.channel.clone());
        PassingEvent { instance, channel, way, value, time_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor() -> (Answer, Lane) {
        lane(&Ask::Monitor { pattern: None }, &Arc::new(Doorbell::new().unwrap()))
    }

    fn event(value: f64) -> Passing {
        let name = ChannelName { instance: "a".into(), channel: "x".into() };
        Passing { name: Arc::new(name), way: Direction::Out, value, time_ms: 1 }
    }

    fn heard(lane: &Lane) -> Vec<Reply> {
        std::iter::from_fn(|| match lane.hear() {
            Heard::Reply(reply) => Some(reply),
            Heard::Nothing | Heard::Ended => None,
        })
        .collect()
    }

    fn is_event(reply: &Reply, wanted: f64) -> bool {
        matches!(reply, Reply::Event(PassingEvent { value, .. }) if *value == wanted)
    }

    #[test]
    fn events_without_room_are_counted_and_told_of_when_nothing_else_comes() {
        let (answer, lane) = monitor();
        for _ in 0..MONITOR_CAPACITY + 7 {
            assert!(answer.pass(event(0.5)));
        }
        let replies = heard(&lane);
        assert_eq!(replies.len(), MONITOR_CAPACITY + 1);
        assert_eq!(replies.last(), Some(&Reply::Dropped(7)));
        assert_eq!(lane.hear(), Heard::Nothing);
    }

    #[test]
    fn the_count_stands_between_the_events_before_and_after_the_gap() {
        let (answer, lane) = monitor();
        for _ in 0..MONITOR_CAPACITY + 3 {
            answer.pass(event(0.5));
        }
        for _ in 0..2 {
            assert!(matches!(lane.hear(), Heard::Reply(Reply::Event(_))));
        }
        answer.pass(event(1.0));
        let replies = heard(&lane);
        assert_eq!(replies[replies.len() - 2], Reply::Dropped(3));
        assert!(is_event(&replies[replies.len() - 1], 1.0));
    }

    #[test]
    fn no_event_is_lost_without_being_counted() {
        let (answer, lane) = monitor();
        for _ in 0..MONITOR_CAPACITY + 1 {
            answer.pass(event(0.5));
        }
        assert!(matches!(lane.hear(), Heard::Reply(Reply::Event(_))));
        // one slot: it goes to the count, and this event is the next to be counted
        answer.pass(event(1.0));
        let replies = heard(&lane);
        let told: u64 = replies.iter().map(|reply| if let Reply::Dropped(n) = reply { *n } else { 0 }).sum();
        assert_eq!(told, 2);
    }

    #[test]
    fn a_lane_that_nobody_reads_any_more_says_so() {
        let (answer, lane) = monitor();
        assert!(!answer.is_forsaken());
        drop(lane);
        assert!(answer.is_forsaken());
        assert!(!answer.pass(event(0.5)));
        assert!(!answer.sent());
    }

    #[test]
    fn an_ask_that_is_dropped_is_answered_all_the_same() {
        let bell = Arc::new(Doorbell::new().unwrap());
        let (answer, lane) = lane(&Ask::Status, &bell);
        assert_eq!(lane.hear(), Heard::Nothing);
        bell.clear();
        drop(answer);
        assert!(bell.clear());
        assert_eq!(lane.hear(), Heard::Reply(Reply::Refused(ErrorReply::new("the show is ending"))));
        assert_eq!(lane.hear(), Heard::Ended);
    }

    #[test]
    fn the_first_answer_is_the_one_that_counts() {
        let (answer, lane) = lane(&Ask::Status, &Arc::new(Doorbell::new().unwrap()));
        answer.sent();
        answer.refuse(ErrorReply::new("no"));
        drop(answer);
        assert_eq!(heard(&lane), [Reply::Sent {}]);
    }
}
