//! A ring in the memory of one process, for tests, for benches, and for Miri, which cannot map
//! files.

use super::layout::{BLOCK_WORDS, slot_words};
use super::memory::{Load, Memory, Store};
use super::{Consumer, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory of the process: both sides could write all of it.
pub struct Heap;

impl Memory for Heap {
    type Own = HeapWords;
    type Peer = HeapWords;
}

/// A block of words, shared by its clones.
#[derive(Clone)]
pub struct HeapWords(Arc<[AtomicU64]>);

impl HeapWords {
    /// At least `count` words, all zero, rounded up to a power of two.
    pub fn new(count: usize) -> HeapWords {
        HeapWords((0..count.next_power_of_two()).map(|_| AtomicU64::new(0)).collect())
    }

    fn at(&self, index: usize) -> &AtomicU64 {
        &self.0[index & (self.0.len() - 1)]
    }
}

impl Load for HeapWords {
    fn words(&self) -> usize {
        self.0.len()
    }

    fn load(&self, index: usize) -> u64 {
        self.at(index).load(Ordering::Relaxed)
    }
}

impl Store for HeapWords {
    fn store(&self, index: usize, value: u64) {
        self.at(index).store(value, Ordering::Relaxed);
    }

    fn store_release(&self, index: usize, value: u64) {
        self.at(index).store(value, Ordering::Release);
    }
}

/// A fresh ring of `slots` slots, rounded up to a power of two, at least 2.
pub fn ring(slots: u32) -> (Producer<Heap>, Consumer<Heap>) {
    let (producer, consumer) = (HeapWords::new(BLOCK_WORDS), HeapWords::new(BLOCK_WORDS));
    let slots = HeapWords::new(slot_words(slots.max(2)));
    let writing = Producer::new(producer.clone(), slots.clone(), consumer.clone());
    (writing, Consumer::new(consumer, slots, producer))
}
