//! Tests of the sending thread, with a port made for them.

use super::{TxCommand, TxCounters, TxThread};
use crate::backends::midi::channel::{ChannelAddress, ChannelKind};
use crate::backends::midi::port::{SendOutcome, TxPort};
use crate::backends::midi::tx_queue::{MidiTxQueue, TX_QUEUE_CAPACITY, TxValue};
use crossbeam_queue::ArrayQueue;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// No test takes this long unless it fails.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

struct FakePort {
    sent: Sender<Vec<u8>>,
    /// The outcomes of the next sends; then all succeed.
    outcomes: Arc<Mutex<VecDeque<SendOutcome>>>,
}

impl TxPort for FakePort {
    fn send(&mut self, message: &[u8]) -> SendOutcome {
        let outcome = self.outcomes.lock().unwrap().pop_front().unwrap_or(SendOutcome::Sent);
        if outcome == SendOutcome::Sent {
            let _ = self.sent.send(message.to_vec());
        }
        outcome
    }

    fn is_drained(&mut self) -> bool {
        true
    }
}

struct Rig {
    tx_queue: MidiTxQueue,
    commands: Sender<TxCommand>,
    counters: Arc<TxCounters>,
    thread: JoinHandle<()>,
    sent: Receiver<Vec<u8>>,
    sender: Sender<Vec<u8>>,
    outcomes: Arc<Mutex<VecDeque<SendOutcome>>>,
}

impl Rig {
    /// With the controllers 0 to 9, and a parameter as the last channel.
    fn new() -> Self {
        let cc = (0..10).map(|number| ChannelAddress { channel: 0, kind: ChannelKind::Cc, number });
        let nrpn = ChannelAddress { channel: 0, kind: ChannelKind::Nrpn, number: 900 };
        let queue = Arc::new(ArrayQueue::new(TX_QUEUE_CAPACITY));
        let (commands, receiver) = channel();
        let (sender, sent) = channel();
        let counters = Arc::new(TxCounters::default());
        let tx_thread = TxThread {
            name: "test".into(),
            addresses: cc.chain([nrpn]).collect(),
            deselect: true,
            rate: 16_000,
            queue: Arc::clone(&queue),
            commands: receiver,
            counters: Arc::clone(&counters),
        };
        let thread = thread::spawn(move || tx_thread.run());
        let tx_queue = MidiTxQueue::new(queue, thread.thread().clone());
        Self { tx_queue, commands, counters, thread, sent, sender, outcomes: Arc::default() }
    }

    fn open(&mut self) {
        let port = FakePort { sent: self.sender.clone(), outcomes: Arc::clone(&self.outcomes) };
        self.command(TxCommand::UsePort(Box::new(port)));
    }

    fn command(&mut self, command: TxCommand) {
        self.commands.send(command).unwrap();
        self.tx_queue.thread().unpark();
    }

    fn set(&mut self, slot: u32, raw: u16) {
        self.tx_queue.push(TxValue { slot, raw });
        self.tx_queue.flush();
    }

    fn dropped(&self) -> u64 {
        self.counters.dropped.load(Ordering::Relaxed)
    }

    fn next(&self) -> Vec<u8> {
        self.sent.recv_timeout(TEST_TIMEOUT).expect("a message")
    }

    fn next_values(&self, count: usize) -> Vec<(u8, u8)> {
        (0..count).map(|_| self.next()).map(|message| (message[1], message[2])).collect()
    }

    /// Ends the thread and returns what it sent until then.
    fn end(mut self) -> Vec<Vec<u8>> {
        let overflow = self.tx_queue.take_overflow();
        self.command(TxCommand::Finish(overflow));
        self.thread.join().unwrap();
        self.sent.try_iter().collect()
    }
}

#[test]
fn everything_goes_out_in_order() {
    let mut rig = Rig::new();
    rig.open();
    let values: Vec<_> = (0..2000u16).map(|n| ((n % 10) as u8, (n % 128) as u8)).collect();
    values
        .iter()
        .for_each(|(slot, raw)| rig.tx_queue.push(TxValue { slot: u32::from(*slot), raw: u16::from(*raw) }));
    rig.tx_queue.flush();
    assert_eq!(rig.next_values(2000), values);
    assert_eq!(rig.end(), Vec::<Vec<u8>>::new());
}

#[test]
fn pulses_go_out_whole_while_the_rate_holds_them_up() {
    let mut rig = Rig::new();
    rig.open();
    // More than the rate limiter lets pass at once.
    let pulses: Vec<_> = (0..2000).flat_map(|_| [(3, 127), (3, 0)]).collect();
    for (slot, raw) in &pulses {
        rig.set(*slot, *raw);
    }
    let expected: Vec<_> = pulses.iter().map(|(slot, raw)| (*slot as u8, *raw as u8)).collect();
    assert_eq!(rig.next_values(pulses.len()), expected);
    rig.end();
}

#[test]
fn values_wait_until_the_ports_are_open() {
    let mut rig = Rig::new();
    (1..=3).for_each(|raw| rig.set(0, raw));
    rig.open();
    assert_eq!(rig.next_values(3), [(0, 1), (0, 2), (0, 3)]);
}

#[test]
fn a_device_that_comes_back_gets_the_last_values() {
    let mut rig = Rig::new();
    rig.open();
    for (slot, raw) in [(3, 1), (1, 2), (3, 4)] {
        rig.set(slot, raw);
    }
    assert_eq!(rig.next_values(3), [(3, 1), (1, 2), (3, 4)]);
    rig.command(TxCommand::ResendValues);
    assert_eq!(rig.next_values(2), [(1, 2), (3, 4)]);
}

#[test]
fn what_comes_while_there_is_no_port_is_sent_when_there_is_one_the_last_of_each_channel() {
    let mut rig = Rig::new();
    rig.command(TxCommand::ClosePort);
    (0..100).for_each(|raw| rig.set(u32::from(raw % 3), raw));
    while !rig.tx_queue.is_empty() {
        thread::yield_now();
    }
    rig.open();
    assert_eq!(rig.next_values(3), [(0, 99), (1, 97), (2, 98)]);
}

#[test]
fn a_parameter_goes_out_as_one_sequence() {
    let mut rig = Rig::new();
    rig.open();
    rig.set(10, 8197);
    assert_eq!(rig.next_values(6), [(99, 7), (98, 4), (6, 64), (38, 5), (101, 127), (100, 127)]);
}

#[test]
fn a_port_without_space_gets_the_message_once_it_has_some() {
    let mut rig = Rig::new();
    rig.outcomes.lock().unwrap().extend(std::iter::repeat_n(SendOutcome::Busy, 20));
    rig.open();
    rig.set(0, 7);
    assert_eq!(rig.next_values(1), [(0, 7)]);
    assert_eq!(rig.dropped(), 0);
}

#[test]
fn a_failure_is_tried_again_and_counted_in_the_end() {
    let mut rig = Rig::new();
    let failed = || SendOutcome::Failed("full".into());
    rig.outcomes.lock().unwrap().extend([failed(), failed(), SendOutcome::Sent]);
    rig.open();
    rig.set(0, 1);
    assert_eq!(rig.next_values(1), [(0, 1)]);
    assert_eq!(rig.dropped(), 0);
    rig.outcomes.lock().unwrap().extend(std::iter::repeat_n(failed(), 7));
    (2..5).for_each(|raw| rig.set(0, raw));
    assert_eq!(rig.next_values(1), [(0, 4)], "six tries of the first, one of the second");
    assert_eq!(rig.dropped(), 2);
}

#[test]
fn at_the_end_the_last_values_still_go_out() {
    let mut rig = Rig::new();
    (0..1000).for_each(|raw| rig.set(u32::from(raw % 10), raw % 128));
    rig.open();
    let all = rig.end();
    let last = all.iter().rfind(|message| message[1] == 9).expect("a message of the last channel");
    assert_eq!(last[2], (999 % 128) as u8);
}

#[test]
fn at_the_end_values_that_found_no_space_in_the_queue_go_out_too() {
    let mut rig = Rig::new();
    (0..TX_QUEUE_CAPACITY).for_each(|_| rig.set(0, 1));
    (2..9).for_each(|raw| rig.set(u32::from(raw % 2), raw));
    rig.open();
    let all = rig.end();
    let last = |slot| all.iter().rfind(|message| message[1] == slot).map(|message| message[2]);
    assert_eq!((last(0), last(1)), (Some(8), Some(7)));
}

#[test]
fn without_a_loop_and_a_connector_the_thread_ends() {
    let Rig { commands, thread, .. } = Rig::new();
    drop(commands);
    thread.thread().unpark();
    thread.join().unwrap();
}
