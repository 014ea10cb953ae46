//! A stream of numbered events, and the script at its far end that counts them.

use crate::log_event::Event;
use crate::osc::{Argument, F, Peer};
use crate::running::Running;
use crate::wait::every;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The script: its handler `tick` takes the stream, and `report` prints what it has seen.
pub const COUNTER: &str = include_str!("scripts/counter.py");

/// The argument that carries the number of an event, from 1 to 2^23.
///
/// # Panics
///
/// When the number is larger than 2^24, where a float can no longer tell it from its neighbour.
#[must_use]
pub fn numbered(number: u32) -> Argument {
    let (high, low) = (number >> 8, number.to_le_bytes()[0]);
    let high = f32::from(u16::try_from(high).expect("fewer events than that"));
    F(high.mul_add(256.0, f32::from(low)) / 8_388_608.0)
}

/// A stream of numbered events to `/tick` of a show whose instance `py` hands them on to the
/// counter in `witness`.
pub struct NumberedStream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u32>,
}

impl NumberedStream {
    /// Begins to send `burst` events every `period`.
    #[must_use]
    pub fn begin(show: &Running, burst: u32, period: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (address, is_over) = (show.stage().bind(), Arc::clone(&stop));
        let sender = thread::spawn(move || {
            let peer = Peer::new(SocketAddr::new(address.ip(), 0), address);
            let mut sent = 0;
            every(period, || {
                for _ in 0..burst {
                    sent += 1;
                    peer.send("/tick", &[numbered(sent)]);
                }
                !is_over.load(Ordering::Relaxed)
            });
            sent
        });
        Self { stop, sender }
    }

    /// Ends it, and makes sure that all its events reached the counter, in order, and that none was
    /// conflated on its way to `py`.
    ///
    /// # Panics
    ///
    /// When that is not so.
    #[track_caller]
    pub fn finish(self, show: &Running) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender only sends");
        let mut control = show.control();
        control.wait_for("all events at the far end", "witness", |status| status["events_in"] == sent);
        show.send("/report", &[F(1.0)]);
        assert_complete(show, "witness", sent);
        assert_eq!(control.standing("py")["conflated"], json!(0));
    }
}

/// Makes sure that the script of this instance, asked for its report, has seen all events in their
/// order.
///
/// # Panics
///
/// When it has not.
#[track_caller]
pub fn assert_complete(show: &Running, instance: &str, sent: u32) {
    let printed = show.wait_for(Event::printed(instance, "").message(" seen, "));
    assert_eq!(printed.message, format!("{sent} seen, 0 out of place"));
}
