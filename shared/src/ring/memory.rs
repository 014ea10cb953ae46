//! What the ring needs of its memory: words that are loaded and stored one at a time.
//!
//! The algorithm knows nothing else of it. The same code runs on mapped segments, on plain memory
//! under Miri, and on loom's atomics, which try every ordering that the memory model allows.
//!
//! An index beyond the end is not an error but wraps around, so that no index, however it came
//! about, reaches outside, and no check costs a branch.

use std::sync::atomic::{self, Ordering};

/// A block of words that can be read. Its length is a power of two.
pub trait Load {
    /// Number of words.
    fn words(&self) -> usize;

    /// Copies the word at `index`, modulo the length, with relaxed ordering.
    fn load(&self, index: usize) -> u64;
}

/// A block of words that has its one writer here.
pub trait Store: Load {
    /// Stores the word at `index`, modulo the length, with relaxed ordering.
    fn store(&self, index: usize, value: u64);

    /// The same with release ordering: a side that reads this value sees all that was stored before
    /// it.
    fn store_release(&self, index: usize, value: u64);
}

/// One side's view of a ring's memory: blocks that it writes, blocks that its peer writes.
pub trait Memory {
    /// Blocks that this side writes.
    type Own: Store;
    /// Blocks that the peer writes.
    type Peer: Load;

    /// A fence among the operations on these blocks.
    #[inline]
    fn fence(order: Ordering) {
        atomic::fence(order);
    }
}

/// The load of a word that the peer released: the relaxed load with the fence that makes it an
/// acquire load.
#[inline]
pub(crate) fn load_acquire<M: Memory>(words: &impl Load, index: usize) -> u64 {
    let value = words.load(index);
    M::fence(Ordering::Acquire);
    value
}
