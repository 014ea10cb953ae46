//! Looks up the names of hosts, away from the event loop: a name server may take half a minute to
//! answer, or never do.
//!
//! ```text
//! loop ── look_up(host) ──► threads, at most 8 ── report(ResolvedHost) ──► loop
//! ```
//!
//! A name that is being looked up is not asked for twice, so that a server that does not answer
//! costs one thread per name. Further names wait for a thread. There is no thread while no name is
//! looked up.

use std::collections::{BTreeSet, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Names that are looked up at once.
const THREADS_LIMIT: usize = 8;

/// The answer to one look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedHost {
    /// The name.
    pub host: String,
    /// Its addresses, the preferred one first, with port 0; empty if it does not resolve.
    pub addresses: Vec<SocketAddr>,
}

/// Looks up names. A clone uses the same threads.
#[derive(Clone)]
pub struct Resolver {
    work: Arc<Mutex<Work>>,
    look_up: Arc<LookUp>,
    report: Arc<Report>,
}

type LookUp = dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync;
type Report = dyn Fn(ResolvedHost) + Send + Sync;

#[derive(Default)]
struct Work {
    /// Names that wait for a thread, in order.
    waiting: VecDeque<String>,
    /// All names that are not answered yet.
    open: BTreeSet<String>,
    threads: usize,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver that asks the system, and calls `report` with each answer.
    #[must_use]
    pub fn new(report: impl Fn(ResolvedHost) + Send + Sync + 'static) -> Self {
        Self::with(system_addresses, report)
    }

    fn with(
        look_up: impl Fn(&str) -> Vec<SocketAddr> + Send + Sync + 'static,
        report: impl Fn(ResolvedHost) + Send + Sync + 'static,
    ) -> Self {
        Self { work: Arc::default(), look_up: Arc::new(look_up), report: Arc::new(report) }
    }

    /// Asks for the addresses of a host. Never waits. The answer always comes, unless the system
    /// refuses a thread.
    pub fn look_up(&self, host: &str) {
        let mut work = lock(&self.work);
        if !work.open.insert(host.to_owned()) {
            return;
        }
        work.waiting.push_back(host.to_owned());
        if work.threads == THREADS_LIMIT {
            return;
        }
        let this = self.clone();
        match thread::Builder::new().name("resolver".into()).spawn(move || this.run()) {
            Ok(_) => work.threads += 1,
            Err(error) if work.threads == 0 => {
                work.waiting.clear();
                work.open.clear();
                tracing::warn!(event = "resolver_failed", "cannot look up `{host}`: {error}");
            }
            Err(_) => {}
        }
    }

    /// Looks up what waits.
    fn run(&self) {
        loop {
            let host = {
                let mut work = lock(&self.work);
                let Some(host) = work.waiting.pop_front() else {
                    work.threads -= 1;
                    return;
                };
                host
            };
            let addresses = (self.look_up)(&host);
            lock(&self.work).open.remove(&host);
            (self.report)(ResolvedHost { host, addresses });
        }
    }
}

fn lock(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

fn system_addresses(host: &str) -> Vec<SocketAddr> {
    (host, 0).to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn answer(host: &str, addresses: &[SocketAddr]) -> ResolvedHost {
        ResolvedHost { host: host.into(), addresses: addresses.to_vec() }
    }

    #[test]
    fn a_name_that_is_not_answered_holds_up_no_other_and_is_asked_for_once() {
        let (sender, receiver) = channel();
        let (questions, asked) = channel();
        let gate = Arc::new(Barrier::new(2));
        let waits = Arc::clone(&gate);
        let look_up = move |host: &str| {
            questions.send(host.to_owned()).unwrap();
            if host == "slow" {
                waits.wait();
            }
            vec![SocketAddr::from(([10, 0, 0, 1], 0))]
        };
        let resolver = Resolver::with(look_up, move |answer| sender.send(answer).unwrap());
        resolver.look_up("slow");
        assert_eq!(asked.recv_timeout(TIMEOUT).unwrap(), "slow");
        resolver.look_up("slow");
        resolver.look_up("fast");
        let address = SocketAddr::from(([10, 0, 0, 1], 0));
        assert_eq!(receiver.recv_timeout(TIMEOUT).unwrap(), answer("fast", &[address]));
        gate.wait();
        assert_eq!(receiver.recv_timeout(TIMEOUT).unwrap(), answer("slow", &[address]));
        assert_eq!(asked.recv_timeout(TIMEOUT).unwrap(), "fast");
        assert!(asked.try_recv().is_err() && receiver.try_recv().is_err());
    }

    #[test]
    fn more_names_than_threads_are_all_answered() {
        let (sender, receiver) = channel();
        let resolver = Resolver::with(|_| Vec::new(), move |answer| sender.send(answer).unwrap());
        let mut names: Vec<_> = (0..5 * THREADS_LIMIT).map(|number| format!("host{number}")).collect();
        names.iter().for_each(|name| resolver.look_up(name));
        let mut answered: Vec<_> =
            names.iter().map(|_| receiver.recv_timeout(TIMEOUT).unwrap().host).collect();
        names.sort();
        answered.sort();
        assert_eq!(answered, names);
    }
}
