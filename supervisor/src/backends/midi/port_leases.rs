//! Which port names are in use in this process.
//!
//! A backend that is closed does not wait: its threads send what is left, close the ports and end
//! by themselves. An instance that a changed show opens under the same name must not open its ports
//! before that, or the MIDI system would see two of them, or one with a number added to its name.
//! So the thread that opens ports first takes a *lease* on their name, and gives it back when the
//! ports are closed. The end of the process waits for all leases, with a limit.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// All leases of this process.
pub static PORT_LEASES: PortLeases = PortLeases::new();

/// The names that are leased, and how often: a holder that never closes its ports is not waited for
/// without limit.
#[derive(Debug)]
pub struct PortLeases {
    held: Mutex<BTreeMap<String, usize>>,
    changed: Condvar,
}

impl PortLeases {
    pub const fn new() -> Self {
        Self { held: Mutex::new(BTreeMap::new()), changed: Condvar::new() }
    }

    /// Takes a lease on `name`; waits for the previous holder, for at most `timeout`. `None` when
    /// `is_cancelled` returns true; it is called again after each [`PortLeases::wake`].
    pub fn acquire(
        &'static self,
        name: &str,
        timeout: Duration,
        is_cancelled: impl Fn() -> bool,
    ) -> Option<PortLease> {
        let must_wait = |held: &mut BTreeMap<String, usize>| held.contains_key(name) && !is_cancelled();
        let mut held = self.wait_while(timeout, must_wait);
        if is_cancelled() {
            return None;
        }
        let count = held.entry(name.to_owned()).or_default();
        *count += 1;
        Some(PortLease { leases: self, name: name.to_owned(), is_shared: *count > 1 })
    }

    /// Lets all that wait for a lease look again whether they are cancelled.
    pub fn wake(&self) {
        // With the lock, so that a thread between its look and its wait does not miss it.
        let _held = self.lock();
        self.changed.notify_all();
    }

    /// Waits until no lease is held, for at most `timeout`. Returns whether that is so.
    pub fn wait_until_free(&self, timeout: Duration) -> bool {
        self.wait_while(timeout, |held| !held.is_empty()).is_empty()
    }

    fn wait_while(
        &self,
        timeout: Duration,
        condition: impl FnMut(&mut BTreeMap<String, usize>) -> bool,
    ) -> MutexGuard<'_, BTreeMap<String, usize>> {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to have ports under a name. It ends when this is dropped.
#[derive(Debug)]
pub struct PortLease {
    leases: &'static PortLeases,
    name: String,
    is_shared: bool,
}

impl PortLease {
    /// Whether the previous holder did not close its ports in time.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        let mut held = self.leases.lock();
        match held.get_mut(&self.name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.name);
            }
        }
        drop(held);
        self.leases.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    /// No test takes this long unless it fails.
    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    fn leases() -> &'static PortLeases {
        Box::leak(Box::new(PortLeases::new()))
    }

    #[test]
    fn a_name_is_free_again_when_its_holder_gives_it_back() {
        let leases = leases();
        let first = leases.acquire("a", TEST_TIMEOUT, || false).unwrap();
        let other = leases.acquire("b", TEST_TIMEOUT, || false).unwrap();
        let waiting = thread::spawn(|| leases.acquire("a", TEST_TIMEOUT, || false));
        drop(first);
        let second = waiting.join().unwrap().unwrap();
        assert!(!second.is_shared() && !other.is_shared());
        assert!(!leases.wait_until_free(Duration::ZERO));
        drop((second, other));
        assert!(leases.wait_until_free(TEST_TIMEOUT));
    }

    #[test]
    fn a_holder_that_never_gives_back_is_waited_for_with_a_limit() {
        let leases = leases();
        let _first = leases.acquire("a", TEST_TIMEOUT, || false).unwrap();
        let second = leases.acquire("a", Duration::from_millis(1), || false).unwrap();
        assert!(second.is_shared());
        drop(second);
        assert!(!leases.wait_until_free(Duration::ZERO), "the first is still there");
    }

    #[test]
    fn waiting_ends_when_it_is_cancelled() {
        static IS_CANCELLED: AtomicBool = AtomicBool::new(false);
        let leases = leases();
        let _first = leases.acquire("a", TEST_TIMEOUT, || false).unwrap();
        let waiting =
            thread::spawn(|| leases.acquire("a", TEST_TIMEOUT, || IS_CANCELLED.load(Ordering::SeqCst)));
        IS_CANCELLED.store(true, Ordering::SeqCst);
        leases.wake();
        assert!(waiting.join().unwrap().is_none());
    }
}
