//! The others, seen from outside: each event goes in as a packet and has to come back as one.

use mm_tests::TestShow;
use mm_tests::osc::{F, Peer};
use mm_tests::wait::every;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the others do.
pub const SCRIPT: &str = "
    import midimonster
    def event(value):
        midimonster.output('echo' + midimonster.current(), value)
";

/// Of so many events in a row, each has a channel of its own: what comes out of one channel at the
/// same moment is one message, and a sender that was late for once would count as a loss.
const CHANNELS: usize = 64;

/// 200 events a second.
const PERIOD: Duration = Duration::from_millis(5);

/// Events of the first second, in which all that takes part warms up.
const WARM_UP: usize = 200;

/// How long an echo may take before its event counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// The port that echoes come to.
const PORT: u16 = 9_999;

/// Where echoes come to.
pub fn address(stage: &TestShow) -> SocketAddr {
    SocketAddr::new(stage.calm().ip(), PORT)
}

/// What of the show is theirs.
pub fn show(stage: &TestShow) -> String {
    let (peer, last) = (address(stage), CHANNELS);
    format!(
        "[osc calm]\nbind = $CALM\ndest = {} {}\n/*/* = f 0 1\n\
         [python calmly]\nmodule = calm\ndefault-handler = calm.event\n\
         [map]\ncalm./event/{{1..{last}}} > calmly.{{1..{last}}}\ncalmly.echo{{1..{last}}} > calm./echo/{{1..{last}}}\n",
        peer.ip(),
        peer.port()
    )
}

/// What a probe has found out.
pub struct Figures {
    pub sent: usize,
    pub received: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub longest: Duration,
    /// How much later than planned the probe itself sent 99 of 100 events at most: the machine held
    /// up this process, so the figures above are no better than that.
    pub late_p99: Duration,
    /// The same of the latest.
    pub latest: Duration,
}

/// When each event was sent, and how long its echo took.
type Times = Arc<Mutex<Vec<(Instant, Option<Duration>)>>>;

/// Events on their way, and their echoes.
pub struct Probe {
    /// Nothing more is to be sent.
    stop: Arc<AtomicBool>,
    /// Nothing more is on its way out.
    stopped: Arc<AtomicBool>,
    times: Times,
    /// Returns how late each event was sent.
    sender: JoinHandle<Vec<Duration>>,
    receiver: JoinHandle<()>,
}

impl Probe {
    /// Starts to send.
    pub fn start(stage: &TestShow) -> Self {
        let (stop, stopped, times) = (Arc::default(), Arc::default(), Times::default());
        let peer = Arc::new(Peer::new(address(stage), stage.calm()));
        let sender = {
            let (times, peer) = (Arc::clone(&times), Arc::clone(&peer));
            let stop: Arc<AtomicBool> = Arc::clone(&stop);
            thread::spawn(move || {
                let (start, mut late) = (Instant::now(), Vec::new());
                every(PERIOD, || {
                    let planned = PERIOD * u32::try_from(late.len()).unwrap_or(u32::MAX);
                    late.push(start.elapsed().saturating_sub(planned));
                    let number = {
                        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                        times.push((Instant::now(), None));
                        u16::try_from(times.len()).unwrap_or(u16::MAX)
                    };
                    let path = format!("/event/{}", usize::from(number) % CHANNELS + 1);
                    peer.send(&path, &[F(f32::from(number) / 65_536.0)]);
                    !stop.load(Ordering::Relaxed)
                });
                late
            })
        };
        let receiver = {
            let (stopped, times) = (Arc::clone(&stopped), Arc::clone(&times));
            thread::spawn(move || receive(&peer, &stopped, &times))
        };
        Self { stop, stopped, times, sender, receiver }
    }

    /// Stops, and waits for the last echoes.
    pub fn finish(self) -> Figures {
        self.stop.store(true, Ordering::Relaxed);
        let mut late = self.sender.join().expect("the sender only sends");
        self.stopped.store(true, Ordering::Relaxed);
        self.receiver.join().expect("the receiver only receives");
        let times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let mut echoes: Vec<Duration> = times.iter().skip(WARM_UP).filter_map(|(_, echo)| *echo).collect();
        echoes.sort_unstable();
        late.drain(..WARM_UP.min(late.len()));
        late.sort_unstable();
        Figures {
            sent: times.len(),
            received: times.iter().filter(|(_, echo)| echo.is_some()).count(),
            p50: percentile(&echoes, 50),
            p99: percentile(&echoes, 99),
            longest: echoes.last().copied().unwrap_or_default(),
            late_p99: percentile(&late, 99),
            latest: late.last().copied().unwrap_or_default(),
        }
    }
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted.get(sorted.len() * share / 100).copied().unwrap_or_default()
}

fn receive(peer: &Peer, stopped: &AtomicBool, times: &Times) {
    let mut quiet_since = Instant::now();
    loop {
        if let Some(message) = peer.receive_within(Duration::from_millis(100)) {
            let now = Instant::now();
            quiet_since = now;
            if let Some(F(value)) = message.arguments.first() {
                let number = (value * 65_536.0).round() as usize;
                let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((sent, echo)) = number.checked_sub(1).and_then(|index| times.get_mut(index)) {
                    *echo = Some(now - *sent);
                }
            }
        }
        let all = || {
            let times = times.lock().unwrap_or_else(PoisonError::into_inner);
            times.iter().all(|(_, echo)| echo.is_some())
        };
        if stopped.load(Ordering::Relaxed) && (all() || quiet_since.elapsed() > LOST_AFTER) {
            return;
        }
    }
}
