//! Random packets do not reach a wrong channel, and do not produce a value out of range.

use super::*;
use crate::backends::osc::OscPlan;
use crate::backends::osc::tests::Written;
use crate::ids::InstanceId;
use crate::show::LiveInstance;
use mm_config::Diagnostics;

const ID: InstanceId = InstanceId(3);

/// Datagrams that look more or less like OSC, from a fixed seed.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u32) -> u32 {
        // The splitmix64 generator: with a fixed seed a failure can be repeated.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 33) as u32 % limit
    }

    fn packet(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        let mut packet = Vec::new();
        for _ in 0..self.below(8) {
            match self.below(4) {
                0 => packet.extend((0..self.below(12)).map(|_| 0).collect::<Vec<u8>>()),
                1 => (0..self.below(12)).for_each(|_| packet.push(self.below(256) as u8)),
                _ => packet.extend(pieces[self.below(pieces.len() as u32) as usize]),
            }
        }
        packet
    }
}

/// Feeds random packets to an instance. Only channels that exist get events, with values in range.
fn feed_random_packets(count: usize) {
    let channels = ["/a", "/b:1", "/ccc:7", "/fixed:1"];
    let written = Written::new(&[("bind", "* 0"), ("/fixed", "fi 0 1 0 255")], &channels);
    let mut diagnostics = Diagnostics::default();
    let live = LiveInstance { id: ID, place: 0, instance: &written.instance, uses: &[] };
    let OscPlan { mut paths, .. } = OscPlan::new(live, false, &mut diagnostics);
    let mut rx = OscRx::new("out".into(), None);
    let pieces: [&[u8]; 12] = [
        b"/a\0\0",
        b"/b\0\0",
        b"/ccc\0\0\0\0",
        b"/fixed\0\0",
        b",f\0\0",
        b",ff\0",
        b",iihsbTFd[f]\0\0\0\0",
        b",fi\0",
        b"#bundle\0",
        b"\0\0\0\x10",
        b"\0\0\0\x08",
        b"\x3f\0\0\0",
    ];
    let mut noise = Noise(1);
    let mut events = Vec::new();
    let mut seen = [0_u32; 4];
    for _ in 0..count {
        let packet = noise.packet(&pieces);
        rx.datagram(&packet, &"test", &mut paths, &mut EventSink::new(&mut events, &[ID]));
        for event in events.drain(..) {
            assert!((0.0..=1.0).contains(&event.value));
            let address = channels[event.channel.0 as usize].split(':').next().unwrap_or_default();
            assert!(
                packet.windows(address.len()).any(|window| window == address.as_bytes()),
                "the wrong channel"
            );
            seen[event.channel.0 as usize] += 1;
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0 && seen[3] > 0, "the noise is too random to test anything: {seen:?}");
}

#[test]
fn random_packets_reach_no_wrong_channel() {
    feed_random_packets(200_000);
}

#[test]
#[ignore = "takes a while; run with --ignored"]
fn ten_million_random_packets_reach_no_wrong_channel() {
    feed_random_packets(10_000_000);
}
