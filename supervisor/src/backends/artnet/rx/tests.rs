//! Packets of one universe, and the events that they become.

use super::*;
use crate::backends::Incoming;
use crate::backends::artnet::codec::PortAddress;
use crate::backends::artnet::options::ArtnetBackendOptions;
use crate::ids::InstanceId;
use crate::test_shows::live_show;
use mm_config::Diagnostics;

const CONSOLE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// An instance with the channels 1, 2 and 3+4.
struct Universe {
    rx: ArtnetRx,
    map: SlotMap,
    events: Vec<Incoming>,
    now: Instant,
}

impl Universe {
    fn new(options: &str) -> Self {
        let show = live_show(&format!(
            "[artnet net]\n{options}\n[loopback other]\n[map]\nother.x < net.{{1,2,3+4}}\n"
        ));
        let (live, mut diagnostics) = (show.find("net").expect("the show has it"), Diagnostics::default());
        let common = ArtnetBackendOptions::read(None);
        let options = ArtnetInstanceOptions::read(&live, &common, &mut diagnostics);
        let (map, now) = (SlotMap::read(live.instance, &mut diagnostics), Instant::now());
        assert!(diagnostics.is_empty());
        Self { rx: ArtnetRx::new("net", &options, &map, true, now), map, events: Vec::new(), now }
    }

    fn with<R>(
        &mut self,
        act: impl FnOnce(&mut ArtnetRx, (&SlotMap, LocalInstance), &mut EventSink<'_>, Instant) -> R,
    ) -> R {
        let instances = [InstanceId(0)];
        let mut sink = EventSink::new(&mut self.events, &instances);
        act(&mut self.rx, (&self.map, LocalInstance(0)), &mut sink, self.now)
    }

    fn send(&mut self, from: Ipv4Addr, levels: &[u8]) {
        let dmx = ArtDmx { sequence: 0, physical: 0, address: PortAddress::FIRST, levels };
        self.with(|rx, target, sink, now| rx.receive(from, &dmx, target, sink, now));
    }

    /// Lets the time pass, as far as a deadline asks for it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.rx.deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.with(|rx, target, sink, now| rx.tick(target, sink, now));
        }
        self.now = end;
    }

    /// Channel and value of the events since the last call.
    fn drain(&mut self) -> Vec<(u32, f64)> {
        std::mem::take(&mut self.events).into_iter().map(|event| (event.channel.0, event.value)).collect()
    }
}

#[test]
fn channels_whose_level_changes_are_events() {
    let mut universe = Universe::new("");
    universe.send(CONSOLE, &[0, 255, 255, 255]);
    assert_eq!(universe.drain(), [(1, 1.0), (2, 1.0)]);
    universe.send(CONSOLE, &[0, 255, 255, 255]);
    assert_eq!(universe.drain(), []);
    universe.send(CONSOLE, &[51, 255, 255, 255]);
    assert_eq!(universe.drain(), [(0, 0.2)]);
}

#[test]
fn a_lost_universe_keeps_its_levels_or_goes_to_zero() {
    for (options, events) in [("", vec![]), ("input-loss = zero", vec![(1, 0.0)])] {
        let mut universe = Universe::new(options);
        universe.send(CONSOLE, &[0, 255]);
        universe.drain();
        universe.pass(Duration::from_millis(2400));
        assert_eq!(universe.drain(), []);
        universe.pass(Duration::from_millis(200));
        assert_eq!(universe.drain(), events, "{options}");
        assert!(universe.rx.watch().is_lost());
        universe.pass(Duration::from_secs(60));
        assert_eq!(universe.drain(), []);
        universe.send(CONSOLE, &[0, 255]);
        assert_eq!(universe.drain().len(), events.len(), "{options}");
        assert!(!universe.rx.watch().is_lost());
    }
}

#[test]
fn a_flood_becomes_some_events_and_the_last_value() {
    let mut universe = Universe::new("");
    for level in 1..=200 {
        universe.send(CONSOLE, &[level, 0]);
    }
    assert!(universe.drain().len() < 20);
    universe.pass(Duration::from_millis(50));
    assert_eq!(universe.drain(), [(0, 200.0 / 255.0)]);
}

#[test]
fn a_third_source_is_counted_and_neither_received_nor_shown() {
    let mut universe = Universe::new("");
    for last in 1..=3 {
        universe.send(Ipv4Addr::new(10, 0, 0, last), &[last * 50, 0]);
    }
    assert_eq!(universe.drain().last(), Some(&(0, 100.0 / 255.0)));
    assert_eq!((universe.rx.errors(), universe.rx.watch().sources(universe.now).len()), (1, 2));
}
