//! The names of an instance's channels, by number: those of the show first, then those that the
//! script added.
//!
//! They lie in blocks that are shared and never change while they are, so a worker's boot and the
//! state file get all names without the event loop copying one of them.

use mm_shared::control::{NameAllowance, NameError};
use std::sync::Arc;

/// Names of a block. Adding a name copies at most one block that is shared.
const BLOCK_CAPACITY: usize = 1024;

/// Names by number.
#[derive(Debug, Clone, Default)]
pub struct Names {
    blocks: Vec<Arc<Vec<Arc<str>>>>,
    count: usize,
    mapped: usize,
    bytes: usize,
    /// What the script may still add.
    allowance: NameAllowance,
}

impl Names {
    /// The names that the show's mappings use.
    #[must_use]
    pub fn new(mapped: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut names = Self::default();
        mapped.into_iter().for_each(|name| names.push(name));
        names.mapped = names.count;
        names
    }

    /// Adds a name of the script, which gets the next number.
    ///
    /// # Errors
    ///
    /// It is not one that a script may add, or there are too many.
    pub fn add(&mut self, name: Arc<str>) -> Result<(), NameError> {
        self.allowance.take(&name)?;
        self.push(name);
        Ok(())
    }

    fn push(&mut self, name: Arc<str>) {
        if self.count.is_multiple_of(BLOCK_CAPACITY) {
            self.blocks.push(Arc::new(Vec::with_capacity(BLOCK_CAPACITY)));
        }
        self.bytes += name.len();
        self.count += 1;
        if let Some(block) = self.blocks.last_mut() {
            Arc::make_mut(block).push(name);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many of them, from the start, mappings use.
    #[must_use]
    pub fn mapped(&self) -> usize {
        self.mapped
    }

    /// Bytes of all names.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the script may still add.
    #[must_use]
    pub fn allowance(&self) -> NameAllowance {
        self.allowance
    }

    /// A name by number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&Arc<str>> {
        self.blocks.get(number / BLOCK_CAPACITY)?.get(number % BLOCK_CAPACITY)
    }

    /// All names, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> + Clone {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// The names from a number on.
    pub fn iter_from(&self, number: usize) -> impl Iterator<Item = &Arc<str>> {
        (number..self.count).filter_map(|number| self.get(number))
    }

    /// The mapped names, and of the others those with these numbers, in this order.
    #[must_use]
    pub fn select(&self, kept: &[u32]) -> Self {
        let mut selected = Self::new(self.iter().take(self.mapped).cloned());
        for name in kept.iter().filter_map(|number| self.get(*number as usize)) {
            // All of them fitted before.
            let _ = selected.add(Arc::clone(name));
        }
        selected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: usize) -> Names {
        Names::new((0..count).map(|number| Arc::from(format!("n{number}"))))
    }

    #[test]
    fn a_copy_does_not_see_what_is_added_later() {
        for count in [0, 1, BLOCK_CAPACITY - 1, BLOCK_CAPACITY, 3 * BLOCK_CAPACITY + 7] {
            let mut names = numbered(count);
            let copy = names.clone();
            names.add("later".into()).expect("there is room");
            assert_eq!((copy.len(), copy.iter().count(), names.len()), (count, count, count + 1));
            assert_eq!(names.get(count).map(AsRef::as_ref), Some("later"));
            assert_eq!(copy.get(count), None);
        }
    }

    #[test]
    fn a_selection_has_the_mapped_names_and_numbers_the_others_without_a_gap() {
        let mut names = numbered(2);
        for name in ["a", "b", "c"] {
            names.add(name.into()).expect("there is room");
        }
        let selected = names.select(&[3, 4]);
        assert_eq!(selected.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["n0", "n1", "b", "c"]);
        assert_eq!(selected.allowance().names, names.allowance().names + 1);
    }
}
