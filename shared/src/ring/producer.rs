//! The writing side of a ring.
//!
//! `push` stages, `publish` makes visible what is staged, at once and in order. Nothing tells the
//! producer that the consumer took events: `reclaim` looks. The only word of the consumer's that
//! matters is its cursor, and it must lie between what it was and what is published.

use super::layout::{CONSUMER_CPU, DONE, IDLE, PINNED, PRODUCER_CPU, PUBLISHED, TAKEN, WAITING};
use super::memory::{Load, Memory, Store, load_acquire};
use crate::record::{self, Record};
use crate::wakeup::idle_word::{self, ASLEEP, NAPPING};
use crate::{Cursor, Event, Violation};
use std::sync::atomic::Ordering;
use thiserror::Error;

/// There is no free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the ring is full")]
pub struct Full;

/// The writing side of a ring.
pub struct Producer<M: Memory> {
    own: M::Own,
    slots: M::Own,
    peer: M::Peer,
    /// Most events that may be in flight, staged ones included: one less than there are slots.
    room: u64,
    /// Events staged since the start.
    staged: u64,
    /// Events published since the start.
    published: u64,
    /// Events that the consumer took, as last read and checked.
    taken: u64,
    /// The consumer's idle word for which the doorbell was rung last.
    rung: u64,
    /// Epoch of the waits for space, odd during one.
    waiting: u64,
    /// The CPU word that was published last.
    cpu: u64,
}

impl<M: Memory> Producer<M> {
    /// A producer at the start of a fresh ring: `own` and `slots` are written here, `peer` is the
    /// consumer's block.
    pub fn new(own: M::Own, slots: M::Own, peer: M::Peer) -> Producer<M> {
        let room = (slots.words() / record::WORDS).saturating_sub(1) as u64;
        let (staged, published, taken, rung, waiting) = (0, 0, 0, 0, 0);
        Producer { own, slots, peer, room, staged, published, taken, rung, waiting, cpu: 0 }
    }

    /// Puts an event into a slot. The consumer sees it after [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// [`Full`] when no slot is known to be free; [`reclaim`](Self::reclaim) may find some.
    #[inline]
    pub fn push(&mut self, event: Event) -> Result<(), Full> {
        if self.staged - self.taken >= self.room {
            return Err(Full);
        }
        let Record([head, value]) = Record::encode(event);
        let at = slot(self.staged);
        self.slots.store(at, head);
        self.slots.store(at + 1, value);
        self.staged += 1;
        Ok(())
    }

    /// Makes all staged events visible. True: the consumer sleeps, and its doorbell has to be rung.
    /// It is true once for each sleep.
    #[inline]
    #[must_use = "a consumer that sleeps has to be woken"]
    pub fn publish(&mut self) -> bool {
        if self.staged == self.published {
            return false;
        }
        self.published = self.staged;
        // Pairs with the acquire fence in `Consumer::refresh`.
        self.own.store_release(PUBLISHED, self.published);
        self.must_ring(ASLEEP)
    }

    /// This side has run out of work. True: the consumer naps beside events that are published, and
    /// its doorbell has to be rung. It is true once for each nap.
    #[inline]
    #[must_use = "a consumer that naps has to be woken"]
    pub fn run_out(&mut self) -> bool {
        self.peer.load(TAKEN) != self.published && self.must_ring(NAPPING)
    }

    /// Whether the consumer is in this state, once for each time that it is.
    #[inline]
    fn must_ring(&mut self, wanted: u64) -> bool {
        // Pairs with the fence in `Consumer::prepare`.
        M::fence(Ordering::SeqCst);
        let word = self.peer.load(IDLE);
        let ring = idle_word::state(word) == wanted && word != self.rung;
        if ring {
            self.rung = word;
        }
        ring
    }

    /// Reads the consumer's cursor, and returns how many slots this freed.
    ///
    /// # Errors
    ///
    /// A [`Violation`] when its cursor is not where it can be. Nothing is freed then.
    #[inline]
    pub fn reclaim(&mut self) -> Result<usize, Violation> {
        // Pairs with the release store of `taken` in `Consumer`.
        let taken = load_acquire::<M>(&self.peer, TAKEN);
        if taken < self.taken {
            return Err(Violation::CursorBackwards { cursor: Cursor::Taken, from: self.taken, to: taken });
        }
        if taken > self.published {
            return Err(Violation::CursorAhead { cursor: Cursor::Taken, at: taken, limit: self.published });
        }
        // At most `room`, which came from a `usize`.
        let freed = (taken - self.taken) as usize;
        self.taken = taken;
        Ok(freed)
    }

    /// The same, and hands over each event that the consumer has taken since, in order, the one in
    /// hand included.
    ///
    /// # Errors
    ///
    /// As for [`reclaim`](Self::reclaim); then `each` is not called.
    pub fn reclaim_with(&mut self, each: impl FnMut(Event)) -> Result<usize, Violation> {
        let before = self.taken;
        let freed = self.reclaim()?;
        self.events(before, self.taken).for_each(each);
        Ok(freed)
    }

    /// Events that the consumer had not taken when [`reclaim`](Self::reclaim) last looked, staged
    /// ones included.
    pub fn undelivered(&self) -> Vec<Event> {
        self.events(self.taken, self.staged).collect()
    }

    /// The event that the consumer took last, as [`reclaim`](Self::reclaim) saw it, unless the
    /// consumer has published that it is finished.
    pub fn in_hand(&self) -> Option<Event> {
        let finished = self.peer.load(DONE) == self.taken;
        let from = if finished { self.taken } else { self.taken.saturating_sub(1) };
        self.events(from, self.taken).next()
    }

    /// The first event that the consumer has not taken as far as is known, if it could have. Where
    /// its cursor can no longer be believed, this is the one that it may have in hand.
    pub fn first_untaken(&self) -> Option<Event> {
        self.events(self.taken, self.published).next()
    }

    /// Slots known to be free.
    pub fn free(&self) -> usize {
        (self.room - (self.staged - self.taken)) as usize
    }

    /// Most events that can be in flight.
    pub fn room(&self) -> usize {
        self.room as usize
    }

    /// Events in flight: staged or published, and not known to be taken.
    pub fn in_flight(&self) -> usize {
        (self.staged - self.taken) as usize
    }

    /// Announces that this side will wait for space. False: the consumer has taken events in the
    /// meantime; do not wait, reclaim. Publish first, since the consumer makes space only by taking
    /// published events.
    #[must_use = "waiting is right only if this returns true"]
    pub fn prepare_wait(&mut self) -> bool {
        if !is_odd(self.waiting) {
            self.waiting += 1;
            self.own.store(WAITING, self.waiting);
        }
        // Pairs with the fence in `Consumer::wants_space`.
        M::fence(Ordering::SeqCst);
        if self.peer.load(TAKEN) != self.taken {
            self.end_wait();
            return false;
        }
        true
    }

    /// Announces that this side no longer waits for space.
    pub fn end_wait(&mut self) {
        if is_odd(self.waiting) {
            self.waiting += 1;
            self.own.store(WAITING, self.waiting);
        }
    }

    /// Publishes on which CPU this side runs, and whether it is pinned there and the consumer is to
    /// sleep there too. Costs a store only when it changes.
    #[inline]
    pub fn publish_cpu(&mut self, cpu: u32, is_pinned: bool) {
        let word = u64::from(cpu.saturating_add(1)) | if is_pinned { PINNED } else { 0 };
        if self.cpu != word {
            self.cpu = word;
            self.own.store(PRODUCER_CPU, word);
        }
    }

    /// The CPU that the consumer published last. A hint: it may be old, and it may be wrong.
    #[inline]
    pub fn peer_cpu(&self) -> Option<u32> {
        cpu_of(self.peer.load(CONSUMER_CPU))
    }

    /// The events of this side by cursor. All of them are still in their slots for `from` down to
    /// `taken - 1`.
    fn events(&self, from: u64, to: u64) -> impl Iterator<Item = Event> {
        (from..to).filter_map(|cursor| read(&self.slots, cursor).decode(u32::MAX).ok())
    }
}

/// First word of the slot for `cursor`; the memory wraps it.
#[inline]
pub(super) fn slot(cursor: u64) -> usize {
    (cursor as usize).wrapping_mul(record::WORDS)
}

/// Copies the record at `cursor`.
#[inline]
pub(super) fn read(slots: &impl Load, cursor: u64) -> Record {
    let at = slot(cursor);
    Record([slots.load(at), slots.load(at + 1)])
}

#[inline]
pub(super) fn is_odd(epoch: u64) -> bool {
    epoch & 1 == 1
}

#[inline]
pub(super) fn cpu_of(word: u64) -> Option<u32> {
    u32::try_from(word).ok()?.checked_sub(1)
}
