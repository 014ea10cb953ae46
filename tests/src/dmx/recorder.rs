//! Keeps all that a port receives, for tests of what comes when.

use super::port::{Datagram, DmxPort};
use crate::wait::wait_for;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the thread looks whether it should end.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// A port that a thread reads from.
pub struct Recorder {
    port: Arc<DmxPort>,
    received: Arc<Mutex<Vec<Datagram>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins to read.
    #[must_use]
    pub fn of(port: DmxPort) -> Self {
        let (port, received, stop) = (Arc::new(port), Arc::default(), Arc::new(AtomicBool::new(false)));
        let reader = {
            let (port, stop) = (Arc::clone(&port), Arc::clone(&stop));
            let received: Arc<Mutex<Vec<Datagram>>> = Arc::clone(&received);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let datagram = port.receive_within(LOOK_INTERVAL);
                    received.lock().unwrap_or_else(PoisonError::into_inner).extend(datagram);
                }
            })
        };
        Self { port, received, stop, reader: Some(reader) }
    }

    /// The port, to send from it too.
    #[must_use]
    pub fn port(&self) -> &DmxPort {
        &self.port
    }

    /// What those datagrams say that a function can read, in the order in which they came.
    pub fn all<T>(&self, read: impl Fn(&Datagram) -> Option<T>) -> Vec<T> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(read).collect()
    }

    /// Forgets what has come so far.
    pub fn clear(&self) {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Waits until one datagram that came is read as wanted.
    ///
    /// # Panics
    ///
    /// When none comes in time.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, read: impl Fn(&Datagram) -> Option<T>) -> T {
        wait_for(what, || self.received.lock().unwrap_or_else(PoisonError::into_inner).iter().find_map(&read))
    }

    /// Waits until at least so many datagrams are read as wanted, and returns them.
    ///
    /// # Panics
    ///
    /// When they do not come in time.
    #[track_caller]
    pub fn wait_for_count<T>(
        &self,
        count: usize,
        what: &str,
        read: impl Fn(&Datagram) -> Option<T>,
    ) -> Vec<T> {
        wait_for(what, || Some(self.all(&read)).filter(|found| found.len() >= count))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
