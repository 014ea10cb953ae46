//! A second instance of the same show under a steady stream of events. It has to get each of them,
//! in order, whatever the test does to the first one.

use crate::counter::{COUNTER, assert_complete, numbered};
use crate::osc::{F, Peer};
use crate::running::Running;
use crate::test_show::TestShow;
use crate::wait::every;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the text of a show has to contain for [`BackgroundTraffic`]. The stream has a port of its
/// own.
const SHOW: &str = "
[osc calm]
bind = $CALM
[python steady]
module = steady
[map]
calm./steady > steady.steady.tick
calm./steady/report > steady.steady.report
";

/// Time between two events: 200 a second.
const PERIOD: Duration = Duration::from_millis(5);

/// The stream. It has to be finished to be of use.
#[must_use]
pub struct BackgroundTraffic {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u32>,
}

impl BackgroundTraffic {
    /// Writes `show.cfg` with this text and what the stream needs.
    pub fn show(stage: &TestShow, text: &str) {
        stage.write("steady.py", COUNTER);
        stage.osc_show(&format!("{text}{SHOW}"));
    }

    /// Starts to send.
    ///
    /// # Panics
    ///
    /// When no socket can be opened.
    pub fn start(show: &Running) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let peer = calm_peer(show);
        let sender = thread::spawn(move || {
            let mut number = 0;
            every(PERIOD, || {
                number += 1;
                peer.send("/steady", &[numbered(number)]);
                !stopped.load(Ordering::Relaxed)
            });
            number
        });
        Self { stop, sender }
    }

    /// Stops sending; for tests in which the show loses what the stream needs.
    ///
    /// # Panics
    ///
    /// When the sender has panicked.
    pub fn abandon(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().expect("the sender only sends");
    }

    /// Stops sending, and makes sure that every event has arrived in its order.
    ///
    /// # Panics
    ///
    /// When one has not.
    #[track_caller]
    pub fn finish(self, show: &Running) {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().expect("the sender only sends");
        calm_peer(show).send("/steady/report", &[F(1.0)]);
        assert_complete(show, "steady", sent);
    }
}

fn calm_peer(show: &Running) -> Peer {
    let calm = show.stage().calm();
    Peer::new(SocketAddr::new(calm.ip(), 0), calm)
}
