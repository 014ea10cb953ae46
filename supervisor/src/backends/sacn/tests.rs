//! The backend with sockets of the loopback interface.

use super::codec::{SacnPacket, decode};
use super::*;
use crate::backends::test_loop::TestLoop;
use crate::backends::{Backend, LocalInstance, PlanChange, Reconfigured};
use crate::test_shows::live_show;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// How long a test waits for a datagram on the loopback interface.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that receives.
struct Peer(UdpSocket);

/// Universe, the first two levels, priority, and whether the packet ends the stream.
type Received = (u16, [u8; 2], u8, bool);

impl Peer {
    fn new() -> Self {
        Self(UdpSocket::bind("127.0.0.1:0").expect("a port is free"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("it is bound").port()
    }

    fn receive(&self, patience: Option<Duration>) -> Option<Received> {
        self.0.set_nonblocking(patience.is_none()).expect("a socket");
        self.0.set_read_timeout(patience).expect("a socket");
        let mut buffer = [0; 2048];
        let length = self.0.recv(&mut buffer).ok()?;
        match decode(&buffer[..length]) {
            Ok(SacnPacket::Data(data)) => {
                let levels = [data.slots[0], data.slots[1]];
                Some((data.universe, levels, data.priority, data.is_terminated))
            }
            other => panic!("{other:?}"),
        }
    }

    /// What was sent already.
    fn all(&self) -> Vec<Received> {
        std::iter::from_fn(|| self.receive(None)).collect()
    }

    fn next(&self) -> Received {
        self.receive(Some(PATIENCE)).expect("a datagram comes")
    }
}

fn plan(show: &LiveShow) -> Box<dyn Plan> {
    let section = show.backends.iter().find(|section| section.backend == "sacn");
    let mut diagnostics = Diagnostics::default();
    let mut plans = SacnKind.plan(section, &show.instances_of("sacn"), &mut diagnostics);
    assert!(!diagnostics.has_errors());
    plans.pop().expect("there is one")
}

/// A running show whose instance `net` has the channels 1 and 2.
struct Rig {
    peer: Peer,
    plan: Box<dyn Plan>,
    test: TestLoop<dyn Backend>,
    now: Instant,
}

impl Rig {
    /// `DEST` in `settings` is the port of the peer.
    fn plan(bind: &str, settings: &str, peer: &Peer) -> Box<dyn Plan> {
        let text = format!(
            "[backend sacn]\nbind = {bind}\n[sacn net]\n{settings}\n[loopback other]\n\
             [map]\nother.a > net.1\nother.b > net.2\n"
        );
        plan(&live_show(&text.replace("DEST", &format!("destination = 127.0.0.1 {}", peer.port()))))
    }

    fn new(bind: &str, settings: &str) -> Self {
        let peer = Peer::new();
        let plan = Self::plan(bind, settings, &peer);
        let backend = plan.open().unwrap_or_else(|error| panic!("{error}"));
        let test = TestLoop::start(backend, plan.instances());
        Self { peer, plan, test, now: Instant::now() }
    }

    fn set(&mut self, channel: u32, level: u8) {
        self.test.handle(0, channel, f64::from(level) / 255.0);
        self.test.flush();
    }

    /// Applies another show, and lets the timers of the next 200 ms fire.
    fn reload(&mut self, bind: &str, settings: &str) {
        let plan = Self::plan(bind, settings, &self.peer);
        let change = PlanChange::new(&self.plan.instances(), &plan.instances(), |_| false);
        let outcome = self.test.with(|backend, cx| backend.reconfigure(&*plan, &change, cx));
        assert_eq!(outcome, Reconfigured::Kept);
        self.plan = plan;
        self.pass();
    }

    fn pass(&mut self) {
        self.now = self.now.max(Instant::now());
        let end = self.now + Duration::from_millis(200);
        while let Some(due) = self.test.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.test.tick(self.now);
        }
        self.now = end;
    }
}

const ON: &str = "universe = 7\npriority = 100\nDEST";

#[test]
fn levels_go_out_at_once_when_the_priority_comes_back() {
    for off in ["universe = 7\nDEST", "universe = 7", "universe = 8\nhold = 1s"] {
        let mut rig = Rig::new("127.0.0.1 41320", ON);
        rig.set(0, 10);
        rig.set(1, 20);
        rig.pass();
        assert_eq!(rig.peer.all().last(), Some(&(7, [10, 20], 100, false)));
        rig.reload("127.0.0.1 41320", off);
        assert_eq!(rig.peer.all(), [(7, [10, 20], 100, true); 3], "{off}");
        rig.set(1, 30);
        rig.pass();
        assert_eq!(rig.test.backend.status(LocalInstance(0)).universes[0].destination, None);
        assert_eq!(rig.peer.all(), [], "{off}");
        rig.reload("127.0.0.1 41320", ON);
        assert_eq!(rig.peer.next(), (7, [10, 30], 100, false), "{off}");
    }
}

#[test]
fn a_priority_that_is_added_sends_the_values_that_there_are() {
    let mut rig = Rig::new("127.0.0.1 41321", "universe = 7");
    rig.test.with(|backend, _| backend.restore(LocalInstance(0), mm_shared::ChannelId(0), 1.0, true));
    rig.reload("127.0.0.1 41321", ON);
    assert_eq!(rig.peer.all(), [], "no value was set");
    rig.reload("127.0.0.1 41321", "universe = 7");
    rig.set(1, 20);
    rig.reload("127.0.0.1 41321", ON);
    assert_eq!(rig.peer.next(), (7, [255, 20], 100, false));
}

#[test]
fn levels_survive_another_universe_interface_and_destination() {
    let bind = "127.0.0.1 41322";
    let others = [
        (bind, "universe = 8\npriority = 100\nDEST"),
        ("no-such-interface 41322", ON),
        (bind, "universe = 7\npriority = 100\ndestination = 127.0.0.1 41323"),
    ];
    for (other_bind, other) in others {
        let mut rig = Rig::new(bind, ON);
        rig.set(0, 10);
        rig.set(1, 20);
        rig.pass();
        rig.reload(other_bind, other);
        rig.peer.all();
        rig.reload(bind, ON);
        let frames = rig.peer.all();
        let levels: Vec<_> = frames.iter().filter(|frame| !frame.3).map(|frame| (frame.0, frame.1)).collect();
        assert_eq!(levels.first(), Some(&(7, [10, 20])), "{other_bind}, {other}: {frames:?}");
    }
}
