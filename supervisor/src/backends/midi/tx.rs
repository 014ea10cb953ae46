//! The sending side of an instance: what the loop holds of the thread that sends, and what the
//! connector holds of it.

use super::channel::ChannelAddress;
use super::tx_queue::{MidiTxQueue, TX_QUEUE_CAPACITY, TxValue};
use super::tx_thread::{TxCommand, TxCounters, TxThread};
use crossbeam_queue::ArrayQueue;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

/// What the sending side needs to know of an instance.
#[derive(Debug, Clone)]
pub struct TxConfig {
    pub name: String,
    /// By slot.
    pub addresses: Vec<ChannelAddress>,
    /// Whether a parameter is deselected after it was set.
    pub deselect: bool,
    /// Messages per second.
    pub rate: u32,
}

/// The loop's side. When it is dropped, the thread sends what is left and ends by itself.
#[derive(Debug)]
pub struct MidiTx {
    queue: MidiTxQueue,
    commands: Sender<TxCommand>,
    counters: Arc<TxCounters>,
}

impl MidiTx {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system refuses a thread.
    pub fn start(config: TxConfig) -> io::Result<(Self, TxRemote)> {
        let queue = Arc::new(ArrayQueue::new(TX_QUEUE_CAPACITY));
        let counters = Arc::new(TxCounters::default());
        let (commands, receiver) = channel();
        let TxConfig { name, addresses, deselect, rate } = config;
        let thread = TxThread {
            name,
            addresses,
            deselect,
            rate,
            queue: Arc::clone(&queue),
            commands: receiver,
            counters: Arc::clone(&counters),
        };
        let thread = Builder::new().name("midi-out".into()).spawn(move || thread.run())?;
        let queue = MidiTxQueue::new(queue, thread.thread().clone());
        let remote = TxRemote { commands: commands.clone(), thread };
        Ok((Self { queue, commands, counters }, remote))
    }

    /// Adds a value; it is sent after the next [`MidiTx::flush`].
    pub fn push(&mut self, value: TxValue) {
        self.queue.push(value);
    }

    /// Hands the values to the thread.
    pub fn flush(&mut self) {
        self.queue.flush();
    }

    /// When [`MidiTx::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.queue.deadline()
    }

    /// Hands over values that found no space before.
    pub fn tick(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.queue.flush();
        }
    }

    /// Messages that a connected client has not accepted.
    pub fn dropped(&self) -> u64 {
        self.counters.dropped.load(Ordering::Relaxed)
    }

    /// Values that were replaced by a later one of their channel.
    pub fn conflated(&self) -> u64 {
        self.queue.conflated()
    }
}

impl Drop for MidiTx {
    /// Does not wait: the loop drops this.
    fn drop(&mut self) {
        // A thread that has panicked receives no commands.
        let _ = self.commands.send(TxCommand::Finish(self.queue.take_overflow()));
        self.queue.thread().unpark();
    }
}

/// The connector's side.
#[derive(Debug)]
pub struct TxRemote {
    commands: Sender<TxCommand>,
    thread: JoinHandle<()>,
}

impl TxRemote {
    #[cfg(test)]
    pub fn new(commands: Sender<TxCommand>, thread: JoinHandle<()>) -> Self {
        Self { commands, thread }
    }

    pub fn send(&self, command: TxCommand) {
        // A thread that has ended needs no commands.
        let _ = self.commands.send(command);
        self.thread.thread().unpark();
    }

    /// Waits until the thread has ended, which closes its port. It ends after the loop's side was
    /// dropped.
    pub fn join(self) {
        // A thread that has panicked has ended too.
        let _ = self.thread.join();
    }
}
