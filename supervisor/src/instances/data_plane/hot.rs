//! The instances whose workers do not ring, and that the loop therefore has to look at in every
//! turn.
//!
//! A worker rings only after this side has asked it to. Whoever takes from its ring or looks into
//! it tells it that it need not ring, and from then on its events are found only by looking. An
//! instance that is in no list in that state stands still until something else makes it ring, which
//! may be never. So the rings ([`super::rings`]) take back the wish to be rung for only in exchange
//! for a [`Looking`], which only [`HotInstances::look_at`] gives out, and which puts the instance
//! into the list. It leaves the list in [`HotInstances::rest`] alone, when its worker was asked to
//! ring.

use crate::ids::InstanceId;
use mm_shared::wakeup::IdleMode;

/// The right to take from the ring of an instance's worker: the instance is looked at in the next
/// turn.
#[derive(Debug)]
#[must_use = "the instance is looked at for nothing"]
pub struct Looking(());

/// The instances that are looked at in every turn.
#[derive(Debug, Default)]
pub struct HotInstances {
    ids: Vec<InstanceId>,
    /// By instance: whether it is in `ids`.
    is_hot: Vec<bool>,
}

impl HotInstances {
    /// Looks at an instance in every turn from now on, until its worker was asked to ring.
    #[inline]
    pub fn look_at(&mut self, id: InstanceId) -> Looking {
        if id.0 >= self.is_hot.len() {
            self.is_hot.resize(id.0 + 1, false);
        }
        if !std::mem::replace(&mut self.is_hot[id.0], true) {
            self.ids.push(id);
        }
        Looking(())
    }

    /// The instance at a position, for a loop in which instances are added.
    #[inline]
    #[must_use]
    pub fn get(&self, position: usize) -> Option<InstanceId> {
        self.ids.get(position).copied()
    }

    /// Asks the workers of all hot instances to ring: `rest` asks that of one, and returns how the
    /// loop may wait then. Only an instance for which the loop may block is looked at no longer.
    /// Returns how the loop may wait for all of them.
    pub fn rest(&mut self, mut rest: impl FnMut(InstanceId) -> IdleMode) -> IdleMode {
        let mut mode = IdleMode::Block;
        let Self { ids, is_hot } = self;
        ids.retain(|id| {
            let own = rest(*id);
            mode = mode.max(own);
            is_hot[id.0] = own != IdleMode::Block;
            is_hot[id.0]
        });
        mode
    }

    /// Looks at all instances of `others` as well: those that became hot while the workers were
    /// asked to ring.
    pub fn add_all(&mut self, others: Self) {
        for id in others.ids {
            drop(self.look_at(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(hot: &HotInstances) -> Vec<InstanceId> {
        (0..).map_while(|position| hot.get(position)).collect()
    }

    #[test]
    fn an_instance_is_looked_at_until_its_worker_was_asked_to_ring() {
        let mut hot = HotInstances::default();
        for id in [3, 3, 1] {
            drop(hot.look_at(InstanceId(id)));
        }
        assert_eq!(all(&hot), [InstanceId(3), InstanceId(1)]);
        let mode = hot.rest(|id| if id == InstanceId(3) { IdleMode::Busy } else { IdleMode::Block });
        assert_eq!((mode, all(&hot)), (IdleMode::Busy, vec![InstanceId(3)]));
        assert_eq!(hot.rest(|_| IdleMode::Block), IdleMode::Block);
        assert_eq!(all(&hot), []);
    }

    #[test]
    fn an_instance_whose_ring_is_taken_from_while_others_are_asked_to_ring_stays() {
        let (mut hot, mut others) = (HotInstances::default(), HotInstances::default());
        drop(hot.look_at(InstanceId(0)));
        assert_eq!(hot.rest(|_| IdleMode::Block), IdleMode::Block);
        drop(others.look_at(InstanceId(0)));
        drop(others.look_at(InstanceId(2)));
        hot.add_all(others);
        assert_eq!(all(&hot), [InstanceId(0), InstanceId(2)]);
    }
}
