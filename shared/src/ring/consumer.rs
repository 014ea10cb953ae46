//! The reading side of a ring.
//!
//! It checks everything: the producer's cursor must lie between its last value and one ring's
//! length beyond what is taken, and each record is checked after it was copied. It reads the
//! producer's cursor only when it has taken all that it knows of, so that the cache line does not
//! travel for every event.

use super::layout::{CONSUMER_CPU, DONE, IDLE, PINNED, PRODUCER_CPU, PUBLISHED, TAKEN, WAITING};
use super::memory::{Load, Memory, Store, load_acquire};
use super::producer::{cpu_of, is_odd, read};
use crate::record;
use crate::wakeup::idle_word::{self, ASLEEP, AWAKE, NAPPING};
use crate::{Cursor, Event, Violation};
use std::sync::atomic::Ordering;

/// The reading side of a ring.
pub struct Consumer<M: Memory> {
    own: M::Own,
    slots: M::Peer,
    peer: M::Peer,
    /// Most events that a producer keeps in flight: one less than there are slots.
    room: u64,
    /// Events taken since the start.
    taken: u64,
    /// The producer's cursor, as last read and checked.
    published: u64,
    /// The idle word of this side, see `wakeup/idle_word.rs`.
    idle: u64,
    /// The producer's wait for which its doorbell was rung last.
    rung: u64,
    /// Channels in a record must be below this.
    channels: u32,
    cpu: u32,
}

impl<M: Memory> Consumer<M> {
    /// A consumer at the start of a fresh ring: `own` is written here, `slots` and `peer` are the
    /// producer's.
    pub fn new(own: M::Own, slots: M::Peer, peer: M::Peer) -> Consumer<M> {
        let room = (slots.words() / record::WORDS).saturating_sub(1) as u64;
        let (taken, published, idle, rung) = (0, 0, 0, 0);
        Consumer { own, slots, peer, room, taken, published, idle, rung, channels: u32::MAX, cpu: 0 }
    }

    /// From now on a record for channel `channels` or a higher one is a violation.
    pub fn set_channel_limit(&mut self, channels: u32) {
        self.channels = channels;
    }

    /// Takes the next event, if there is one. The producer can see that it is taken before this
    /// returns, so that a crash while it is handled shows it as the one in hand.
    ///
    /// # Errors
    ///
    /// A [`Violation`]. The record that caused it is not taken.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<Event>, Violation> {
        if self.taken == self.published && self.refresh()? == 0 {
            return Ok(None);
        }
        let event = read(&self.slots, self.taken).decode(self.channels)?;
        self.taken += 1;
        // Pairs with the acquire fence in `Producer::reclaim`.
        self.own.store_release(TAKEN, self.taken);
        Ok(Some(event))
    }

    /// Publishes that the event popped last is finished, so that it does not count as the cause of
    /// a crash after this.
    #[inline]
    pub fn finish(&mut self) {
        self.own.store_release(DONE, self.taken);
    }

    /// Takes up to `max` events and publishes that once, at the end. Returns how many.
    ///
    /// # Errors
    ///
    /// A [`Violation`]. Events before it were handed to `each` and are taken, the record that
    /// caused it is not.
    #[inline]
    pub fn drain(&mut self, max: usize, mut each: impl FnMut(Event)) -> Result<usize, Violation> {
        let count = self.refresh()?.min(max);
        for done in 0..count {
            match read(&self.slots, self.taken).decode(self.channels) {
                Ok(event) => each(event),
                Err(violation) => {
                    self.publish_taken(done);
                    return Err(violation);
                }
            }
            self.taken += 1;
        }
        self.publish_taken(count);
        Ok(count)
    }

    /// Announces that this side will sleep. False: there is work (or a violation); do not sleep,
    /// take it.
    #[must_use = "sleeping is right only if this returns true"]
    pub fn prepare_sleep(&mut self) -> bool {
        self.prepare(ASLEEP)
    }

    /// Announces that this side will look again soon by itself: the producer rings only when it
    /// runs out of work. False: there is work (or a violation) already.
    #[must_use = "a nap is right only if this returns true"]
    pub fn prepare_nap(&mut self) -> bool {
        self.prepare(NAPPING)
    }

    fn prepare(&mut self, state: u64) -> bool {
        if idle_word::state(self.idle) != state {
            self.idle = idle_word::next(self.idle, state);
            self.own.store(IDLE, self.idle);
        }
        // Pairs with the fence in `Producer::must_ring`.
        M::fence(Ordering::SeqCst);
        if self.peer.load(PUBLISHED) != self.taken {
            self.wake();
            return false;
        }
        true
    }

    /// Announces that this side is awake.
    pub fn wake(&mut self) {
        if idle_word::state(self.idle) != AWAKE {
            self.idle = idle_word::next(self.idle, AWAKE);
            self.own.store(IDLE, self.idle);
        }
    }

    /// Whether the producer waits for space and has to be woken; true once for each of its waits.
    /// To be asked after events were taken, and at the latest before this side sleeps.
    #[must_use = "a producer that waits has to be woken"]
    pub fn wants_space(&mut self) -> bool {
        // Pairs with the fence in `Producer::prepare_wait`.
        M::fence(Ordering::SeqCst);
        let epoch = self.peer.load(WAITING);
        let ring = is_odd(epoch) && epoch != self.rung;
        if ring {
            self.rung = epoch;
        }
        ring
    }

    /// Whether the producer has published anything that is not taken yet. For spinning: a load,
    /// nothing else.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.published != self.taken || self.peer.load(PUBLISHED) != self.taken
    }

    /// Whether at least half of the ring is free, as far as this side knows of the events in it:
    /// there may be more.
    #[inline]
    pub fn is_half_free(&self) -> bool {
        (self.published - self.taken) * 2 <= self.room
    }

    /// Publishes on which CPU this side runs. Costs a store only when it changes.
    #[inline]
    pub fn publish_cpu(&mut self, cpu: u32) {
        let word = cpu.saturating_add(1);
        if self.cpu != word {
            self.cpu = word;
            self.own.store(CONSUMER_CPU, u64::from(word));
        }
    }

    /// The CPU that the producer published last. A hint: it may be old, and it may be wrong.
    #[inline]
    pub fn peer_cpu(&self) -> Option<u32> {
        cpu_of(self.peer.load(PRODUCER_CPU) & !PINNED)
    }

    /// Whether the producer is pinned to its CPU, and this side is to sleep there. A hint as well.
    #[inline]
    pub fn peer_is_pinned(&self) -> bool {
        self.peer.load(PRODUCER_CPU) & PINNED != 0
    }

    /// Looks at the producer's cursor, and returns how many events there are to take.
    #[inline]
    fn refresh(&mut self) -> Result<usize, Violation> {
        // Pairs with the release store in `Producer::publish`.
        let published = load_acquire::<M>(&self.peer, PUBLISHED);
        if published < self.published {
            let (from, to) = (self.published, published);
            return Err(Violation::CursorBackwards { cursor: Cursor::Published, from, to });
        }
        if published - self.taken > self.room {
            let limit = self.taken + self.room;
            return Err(Violation::CursorAhead { cursor: Cursor::Published, at: published, limit });
        }
        self.published = published;
        Ok((published - self.taken) as usize)
    }

    #[inline]
    fn publish_taken(&mut self, count: usize) {
        if count > 0 {
            // Pairs with the acquire fence in `Producer::reclaim`.
            self.own.store_release(TAKEN, self.taken);
        }
    }
}
