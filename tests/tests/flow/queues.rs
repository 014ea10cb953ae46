//! Fault `queue-full`: an instance that takes no events for long.

use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Control, Running, TestShow, wait_for};
use serde_json::Value;

/// Holds up its worker until the file is there, and notes what it was given.
const SCRIPT: &str = "
    import midimonster, os, time
    def hold(value):
        while not os.path.exists('go'):
            time.sleep(0.01)
    def note(value):
        with open('notes', 'a') as file:
            file.write(f'{midimonster.current()} {round(value * 1024)}\\n')
";

/// The ring between supervisor and worker, without the event in hand: what waits there is not in
/// the queue.
const RING: usize = 16_383;

fn start(options: &str) -> (Running, BackgroundTraffic) {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    let text = format!(
        "[python py]\nmodule = h\ndefault-handler = h.note\nwatchdog = off\n{options}\n[map]\n\
         net./hold > py.h.hold\nnet./{{1..8}} > py.{{1..8}}\nnet./fill > py.fill\n"
    );
    BackgroundTraffic::show(&stage, &text);
    let show = stage.run();
    let others = BackgroundTraffic::start(&show);
    (show, others)
}

/// Sends events, and waits until all of them are in the queue or conflated there: the network may
/// lose what comes too fast.
struct Sender<'a> {
    show: &'a Running,
    control: Control,
    expected: u64,
}

impl<'a> Sender<'a> {
    fn new(show: &'a Running) -> Self {
        let mut control = show.control();
        show.send("/hold", &[F(1.0)]);
        let is_held = |status: &Value| status["events_in"] == 1 && status["queued"] == 0;
        control.wait_for("the handler to hold", "py", is_held);
        Self { show, control, expected: 1 }
    }

    fn send(&mut self, events: impl IntoIterator<Item = (String, u16)>) {
        let events: Vec<_> = events.into_iter().collect();
        for burst in events.chunks(100) {
            for (channel, number) in burst {
                self.show.send(&format!("/{channel}"), &[F(f32::from(*number) / 1024.0)]);
            }
            self.expected += burst.len() as u64;
            let expected = self.expected;
            self.control.wait_for("the events", "py", |status| status["events_in"] == expected);
        }
    }

    fn counts(&mut self) -> (u64, u64) {
        let standing = self.control.standing("py");
        let count = |name: &str| standing[name].as_u64().expect("a count");
        (count("queued"), count("conflated"))
    }

    /// Lets the handler return, and waits for this many notes. An empty queue is not enough to wait
    /// for: the handler may still work on the last event, which has left the queue.
    fn let_go(&mut self, count: usize) -> Vec<String> {
        self.show.stage().write("go", "");
        self.control.wait_for("an empty queue", "py", |status| status["queued"] == 0);
        wait_for(&format!("{count} notes"), || {
            let notes = self.show.stage().read("notes");
            (notes.lines().count() >= count).then(|| notes.lines().map(str::to_owned).collect())
        })
    }
}

fn channel(number: usize) -> String {
    (number % 8 + 1).to_string()
}

fn value(number: usize) -> u16 {
    u16::try_from(number % 1024).unwrap_or(0)
}

#[test]
fn what_a_busy_worker_does_not_take_waits_in_order() {
    let (show, others) = start("");
    let mut sender = Sender::new(&show);
    let events: Vec<(String, u16)> = (0..20_000).map(|number| (channel(number), value(number))).collect();
    sender.send(events.clone());
    assert_eq!(sender.counts(), (20_000, 0));
    let notes = sender.let_go(events.len());
    let expected: Vec<String> =
        events.iter().map(|(channel, number)| format!("{channel} {number}")).collect();
    assert!(notes == expected, "{} notes", notes.len());
    others.finish(&show);
    show.stop();
}

#[test]
fn beyond_the_queue_the_last_value_of_every_channel_arrives_and_the_rest_is_counted() {
    let (show, others) = start("queue = 100");
    let mut sender = Sender::new(&show);
    // What fits: the ring and the queue.
    sender.send((0..RING).map(|number| ("fill".to_owned(), value(number))));
    let ordered: Vec<(String, u16)> = (0..100).map(|number| (channel(number), value(number))).collect();
    sender.send(ordered.clone());
    let (queued, conflated) = sender.counts();
    assert_eq!((queued, conflated), (RING as u64 + 100, 0));
    // What does not: 1000 events of eight channels.
    sender.send((0..1000).map(|number| (channel(number), value(number))));
    assert_eq!(sender.counts(), (queued + 8, 992));
    let notes = sender.let_go(RING + 100 + 8);
    let ordered = ordered.iter().map(|(channel, number)| format!("{channel} {number}"));
    let last = (992..1000).map(|number| format!("{} {}", channel(number), value(number)));
    assert_eq!(notes[RING..].to_vec(), ordered.chain(last).collect::<Vec<_>>());
    assert_eq!(sender.counts(), (0, 992));
    others.finish(&show);
    show.stop();
}

#[test]
fn a_stopped_instance_is_given_the_last_value_of_each_channel_when_it_starts() {
    let (show, others) = start("");
    let mut control = show.control();
    show.stage().write("go", "");
    assert_eq!(control.act("stop", "py")["ok"], true);
    let mut sender = Sender { show: &show, control: show.control(), expected: 0 };
    sender.send((0..100).map(|number| (channel(number), value(number))));
    assert_eq!(control.standing("py")["queued"], 8);
    assert_eq!(control.act("start", "py")["ok"], true);
    let notes = sender.let_go(8);
    let mut expected: Vec<String> =
        (92..100).map(|number| format!("{} {}", channel(number), value(number))).collect();
    let mut notes = notes;
    notes.sort();
    expected.sort();
    assert_eq!(notes, expected);
    others.finish(&show);
    show.stop();
}

#[test]
fn what_a_busy_worker_sends_goes_out_while_it_still_works() {
    let stage = TestShow::new();
    let script = "
        import midimonster, os, time
        rounds = 0
        def work(value):
            global rounds
            # a path for each, since one that is sent twice in a step is sent once
            midimonster.output(f'out{round(value * 16)}', rounds % 2)
            if value == 0.5:
                rounds += 1
                while not os.path.exists(f'go{rounds}'):
                    time.sleep(0.001)
    ";
    stage.python("h.py", script);
    let text = "[python py]\nmodule = h\nwatchdog = off\n[map]\n\
                net./in > py.h.work\npy.out{1..15} > net./out{1..15}\n";
    stage.osc_show(text);
    let show = stage.run();
    let expect = |n, round: u8| show.expect(&format!("/out{n}"), &[F(f32::from(round % 2))]);
    for round in 0..20 {
        (1..16).for_each(|n: u8| show.send("/in", &[F(f32::from(n) / 16.0)]));
        (1..=8).for_each(|n| expect(n, round));
        show.stage().write(&format!("go{}", round + 1), "");
        (9..16).for_each(|n| expect(n, round + 1));
    }
    show.stop();
}
