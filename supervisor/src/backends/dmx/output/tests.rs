//! Outputs under a clock of the test.

use super::*;
use std::ops::RangeInclusive;

const SECOND: Duration = Duration::from_secs(1);
const PACED: OutputOptions = OutputOptions { is_realtime: false, hold: None };

fn slot(number: u16) -> ChannelSlots {
    ChannelSlots::Single(number - 1)
}

fn level(raw: u8) -> f64 {
    f64::from(raw) / 255.0
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// An output, the time, and the frames that have left it.
struct Bench {
    output: UniverseOutput,
    start: Instant,
    now: Instant,
    frames: Vec<(Duration, Levels)>,
    /// How late the timer is at most, in microseconds.
    lateness: u64,
    random: u64,
}

impl Bench {
    fn new(options: OutputOptions) -> Self {
        let now = Instant::now();
        let output = UniverseOutput::new(options, 1);
        Self { output, start: now, now, frames: Vec::new(), lateness: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// A number below `limit` (xorshift).
    fn random(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    /// As the event loop does: takes frames when they are due, until `end`.
    fn run_until(&mut self, end: Instant) {
        while let Some(due) = self.output.deadline().filter(|due| *due <= end) {
            let late = if self.lateness > 0 { self.random(self.lateness) } else { 0 };
            self.now = self.now.max(due + Duration::from_micros(late));
            self.take();
        }
        self.now = self.now.max(end);
    }

    fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn take(&mut self) {
        if let Some(levels) = self.output.take(self.now) {
            let levels = levels.try_into().expect("a whole universe");
            self.frames.push((self.now - self.start, levels));
        }
    }

    /// Sets a level and ends the routing step.
    fn set(&mut self, number: u16, raw: u8) {
        self.output.set(slot(number), level(raw), self.now);
        self.take();
    }

    fn times(&self) -> Vec<Duration> {
        self.frames.iter().map(|(at, _)| *at).collect()
    }

    /// The pauses between frames, in milliseconds.
    fn pauses(&self) -> Vec<u128> {
        self.times().windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect()
    }

    /// The levels of a slot, without repetitions, and how long each stayed.
    fn levels(&self, number: u16) -> Vec<(u8, Duration)> {
        let mut levels: Vec<(u8, Duration)> = Vec::new();
        let ends = self.times().into_iter().skip(1).chain([self.now - self.start]);
        for ((at, frame), end) in self.frames.iter().zip(ends) {
            let level = frame[usize::from(number) - 1];
            match levels.last_mut() {
                Some((last, time)) if *last == level => *time += end - *at,
                _ => levels.push((level, end - *at)),
            }
        }
        levels
    }

    /// At most `limit` frames have left in any second.
    fn assert_rate(&self, limit: usize) {
        for frames in self.times().windows(limit + 1) {
            assert!(frames[limit] - frames[0] >= SECOND, "more than {limit} in a second: {frames:?}");
        }
    }
}

#[test]
fn nothing_leaves_before_the_first_value() {
    let mut bench = Bench::new(PACED);
    bench.output.restore(slot(2), 1.0);
    bench.output.refresh(bench.now);
    bench.run(SECOND * 5);
    assert_eq!((bench.frames.len(), bench.output.deadline()), (0, None));
    assert!(bench.output.take_last(bench.now).is_none());
    bench.set(1, 0);
    assert_eq!(bench.frames.len(), 1, "also where it is 0");
    assert_eq!(bench.frames[0].1[..3], [0, 255, 0], "the last run's value of another slot");
    bench.output.restore(slot(1), 1.0);
    assert_eq!(bench.output.levels()[0], 0, "what is sent is newer than the last run");
}

#[test]
fn a_change_is_sent_three_times_and_then_kept_alive() {
    let mut bench = Bench::new(PACED);
    bench.set(1, 9);
    bench.run(SECOND * 60);
    let pauses = bench.pauses();
    assert_eq!(pauses[..2], [34, 22]);
    assert!(pauses[2..].iter().all(|pause| (820..=960).contains(pause)), "{pauses:?}");
    assert!(bench.frames.iter().all(|(_, levels)| levels[0] == 9));
    // A change in between leaves at once.
    let before = bench.frames.len();
    bench.set(1, 10);
    assert_eq!(bench.frames.len(), before + 1);
    bench.set(1, 10);
    assert_eq!(bench.frames.len(), before + 1, "the same value again");
    assert_eq!(bench.output.frames(), before as u64 + 1);
}

#[test]
fn keep_alive_frames_of_many_universes_are_spread() {
    let start = Instant::now();
    let mut due: Vec<Duration> = Vec::new();
    for number in 1..=256 {
        let mut bench = Bench::new(PACED);
        bench.output = UniverseOutput::new(PACED, number);
        (bench.start, bench.now) = (start, start);
        bench.set(1, 1);
        bench.run(SECOND * 2);
        due.push(bench.times()[3]);
    }
    due.sort_unstable();
    let most =
        due.iter().map(|from| due.iter().filter(|at| (*from..*from + millis(1)).contains(*at)).count());
    assert!(most.max() <= Some(4), "256 in 140 ms");
}

/// Changes at random times: pauses between them are in this range, in microseconds.
fn random_changes(pauses: RangeInclusive<u64>, lateness: u64) -> Bench {
    let mut bench = Bench::new(PACED);
    bench.lateness = lateness;
    let end = bench.now + SECOND * 20;
    let mut last = [0; 8];
    while bench.now < end {
        let (number, raw) = (bench.random(8) + 1, bench.random(256) as u8);
        bench.set(number as u16, raw);
        last[number as usize - 1] = raw;
        let pause = pauses.start() + bench.random(pauses.end() - pauses.start() + 1);
        bench.run(Duration::from_micros(pause));
    }
    bench.run(SECOND * 2);
    assert_eq!(bench.frames.last().expect("frames").1[..8], last, "the last values always go out");
    bench.assert_rate(45);
    bench
}

#[test]
fn at_most_44_frames_leave_in_any_second_and_one_more_of_a_source_with_jitter() {
    for pauses in [0..=200, 0..=40_000, 20_000..=25_000, 22_000..=23_500, 0..=200_000, 35_000..=45_000] {
        for lateness in [0, 300, 8_000] {
            random_changes(pauses.clone(), lateness);
        }
    }
    // Bursts with pauses between them.
    let mut bench = Bench::new(PACED);
    for burst in 0..200 {
        for raw in 0..50 {
            bench.set(1, raw ^ burst as u8);
            bench.run(millis(1));
        }
        let pause = bench.random(600);
        bench.run(millis(pause));
    }
    bench.assert_rate(45);
}

#[test]
fn a_flood_leaves_at_the_full_rate_which_is_44_in_any_second() {
    for lateness in [300, 8_000] {
        random_changes(0..=200, lateness).assert_rate(44);
    }
    let bench = random_changes(0..=200, 0);
    bench.assert_rate(44);
    let times = bench.times();
    let in_time = times.iter().filter(|at| **at < SECOND * 20).count();
    assert!((44 * 20 - 1..=44 * 20).contains(&in_time), "{in_time}");
    assert!(bench.pauses()[..in_time - 1].iter().all(|pause| (14..=33).contains(pause)));
}

#[test]
fn a_source_of_40_frames_is_neither_delayed_nor_merged() {
    let mut bench = Bench::new(PACED);
    let mut sent = Vec::new();
    for frame in 0..2000_u64 {
        // 40 frames/s with a jitter of 4 ms.
        let jitter = bench.random(4_000);
        let at = bench.start + Duration::from_micros(frame * 25_000 + jitter);
        bench.run_until(at);
        bench.set(1, (frame % 251) as u8);
        sent.push(at - bench.start);
    }
    assert_eq!(bench.times(), sent);
}

#[test]
fn a_late_frame_of_a_source_of_44_frames_does_not_delay_those_a_second_later() {
    let mut bench = Bench::new(PACED);
    let (mut sent, mut delayed) = (Vec::new(), 0);
    for frame in 0..4400_u64 {
        // One frame of each hundred is 10 ms late, the others up to 3 ms.
        let late = if frame % 100 == 50 { 10_000 } else { bench.random(3_000) };
        let at = bench.start + Duration::from_nanos(frame * 1_000_000_000 / 44) + Duration::from_micros(late);
        bench.run_until(at);
        bench.set(1, (frame % 251) as u8);
        sent.push(at - bench.start);
    }
    bench.run(millis(20));
    let left = bench.times();
    assert_eq!(left.len(), sent.len(), "none is merged");
    for (left, sent) in left.iter().zip(&sent) {
        assert!(*left - *sent < millis(8), "{sent:?} left at {left:?}");
        delayed += usize::from(*left - *sent > millis(2));
    }
    assert!(delayed < 2 * 44, "only those behind a late one: {delayed}");
}

#[test]
fn repetitions_do_not_delay_a_source_of_25_frames() {
    let mut bench = Bench::new(PACED);
    for frame in 0..500 {
        let at = bench.start + millis(frame * 40);
        bench.run_until(at);
        bench.set(1, (frame % 251) as u8);
        assert_eq!(bench.frames.last().map(|(left, _)| *left), Some(at - bench.start));
    }
    bench.assert_rate(44);
    assert!(bench.frames.len() > 700, "they use what is left: {}", bench.frames.len());
    let before = bench.frames.len();
    bench.run(millis(200));
    assert!(bench.frames.len() >= before + 2, "the end of the stream is repeated");
}

#[test]
fn realtime_has_no_limit_and_leaves_no_debt() {
    let mut bench = Bench::new(OutputOptions { is_realtime: true, hold: None });
    for step in 0..1000_u32 {
        bench.set(1, (step % 251) as u8);
        bench.run(millis(1));
    }
    assert_eq!(bench.frames.len(), 1000);
    bench.output.apply_options(PACED, bench.now);
    bench.set(1, 255);
    bench.run(SECOND * 2);
    assert_eq!(bench.frames[1000].1[0], 255);
    let wait = bench.frames[1000].0 - bench.frames[999].0;
    assert!(wait <= SECOND, "{wait:?}");
}

fn holding(time: u64) -> OutputOptions {
    OutputOptions { is_realtime: false, hold: Some(millis(time)) }
}

#[test]
fn without_hold_a_pulse_within_a_frame_is_not_seen() {
    let mut bench = Bench::new(PACED);
    bench.set(1, 1);
    bench.set(2, 255);
    bench.set(2, 0);
    bench.run(SECOND);
    assert_eq!(bench.levels(2).len(), 1);
}

#[test]
fn with_hold_each_level_stays_for_a_frame_or_the_time() {
    for time in [0, 100] {
        for is_realtime in [false, true] {
            let mut bench = Bench::new(OutputOptions { is_realtime, ..holding(time) });
            bench.lateness = 500;
            bench.set(1, 0);
            bench.run(millis(3));
            for _ in 0..10 {
                bench.set(2, 255);
                bench.set(2, 0);
            }
            bench.run(SECOND * 4);
            let levels = bench.levels(2);
            let expected: Vec<u8> = std::iter::repeat_n([0, 255], 10).flatten().chain([0]).collect();
            assert_eq!(levels.iter().map(|(level, _)| *level).collect::<Vec<_>>(), expected);
            let least = millis(time).max(FRAME_INTERVAL);
            assert!(levels[1..].iter().all(|(_, stayed)| *stayed >= least), "{levels:?}");
            assert_eq!(bench.output.conflated(), 0);
        }
    }
}

#[test]
fn hold_delays_no_other_slot_and_no_slow_change() {
    let mut bench = Bench::new(holding(500));
    bench.set(1, 1);
    bench.set(1, 2);
    bench.run(millis(30));
    bench.set(2, 7);
    assert_eq!(bench.frames.last().map(|(_, levels)| (levels[0], levels[1])), Some((1, 7)));
    bench.run(millis(475));
    assert_eq!(bench.frames.last().map(|(_, levels)| levels[0]), Some(2));
    bench.run(millis(600));
    let before = bench.now - bench.start;
    bench.set(1, 3);
    assert_eq!(bench.frames.last().map(|(at, levels)| (*at, levels[0])), Some((before, 3)));
}

#[test]
fn levels_beyond_the_queue_are_replaced_by_the_latest() {
    let mut bench = Bench::new(holding(0));
    for raw in 1..=200 {
        bench.set(1, raw);
    }
    assert_eq!(bench.output.conflated(), 199 - HOLD_QUEUE_CAPACITY as u64);
    bench.run(SECOND * 3);
    let levels: Vec<u8> = bench.levels(1).iter().map(|(level, _)| *level).collect();
    let expected: Vec<u8> = (1..=HOLD_QUEUE_CAPACITY as u8).chain([200]).collect();
    assert_eq!(levels, expected);
    bench.assert_rate(44);
}

#[test]
fn a_pair_is_held_as_one() {
    let mut bench = Bench::new(holding(0));
    let pair = ChannelSlots::Pair { coarse: 0, fine: 1 };
    for raw in [0x0100_u16, 0x00ff, 0x0100] {
        bench.output.set(pair, f64::from(raw) / 65535.0, bench.now);
        bench.take();
    }
    bench.run(SECOND);
    let mut words: Vec<_> = bench.frames.iter().map(|(_, levels)| [levels[0], levels[1]]).collect();
    words.dedup();
    assert_eq!(words, [[1, 0], [0, 255], [1, 0]]);
}

#[test]
fn the_end_sends_what_was_held_back() {
    for options in [PACED, holding(500)] {
        let mut bench = Bench::new(options);
        bench.set(1, 1);
        assert!(bench.output.take_last(bench.now).is_none());
        bench.set(1, 2);
        bench.set(1, 3);
        let last = bench.output.take_last(bench.now).map(|levels| levels[0]);
        assert_eq!(last, Some(3));
        assert!(bench.output.take_last(bench.now).is_none());
    }
    let mut bench = Bench::new(holding(500));
    bench.set(1, 1);
    bench.set(1, 2);
    bench.output.apply_options(PACED, bench.now);
    bench.run(SECOND);
    assert_eq!(bench.frames.last().map(|(_, levels)| levels[0]), Some(2));
}

#[test]
fn slots_that_no_mapping_uses_any_more_go_to_zero() {
    let mut bench = Bench::new(PACED);
    bench.set(1, 1);
    bench.set(2, 2);
    bench.run(SECOND);
    bench.output.clear_unmapped(|index| index == 1, bench.now);
    bench.take();
    assert_eq!(bench.frames.last().map(|(_, levels)| levels[..2].to_vec()), Some(vec![0, 2]));
}

#[test]
fn a_new_receiver_gets_a_frame_at_once() {
    let mut bench = Bench::new(PACED);
    bench.set(1, 1);
    bench.run(millis(500));
    let before = bench.frames.len();
    bench.output.refresh(bench.now);
    bench.take();
    assert_eq!(bench.frames.len(), before + 1);
}

#[test]
fn levels_that_come_in_several_steps_leave_in_one_frame_when_no_more_come() {
    let start = Instant::now();
    let mut output = UniverseOutput::new(OutputOptions::default(), 1);
    let step = |number: u32| start + Duration::from_micros(200) * number;
    for number in 0..4 {
        output.set(ChannelSlots::Single(number as u16), 1.0, step(number));
        output.expect_more(step(number));
        assert!(output.take(step(number)).is_none());
    }
    assert_eq!(output.deadline(), Some(step(3) + QUIET_TIME));
    // All was routed, or none came for a while.
    output.expect_no_more();
    assert_eq!(output.take(step(3)).map(|levels| levels[..5].to_vec()), Some(vec![255, 255, 255, 255, 0]));
}

#[test]
fn a_stream_of_levels_without_an_end_does_not_keep_a_frame() {
    let start = Instant::now();
    let mut output = UniverseOutput::new(OutputOptions::default(), 1);
    let leaves = (0..100_u32).map(|number| start + Duration::from_micros(300) * number).find(|now| {
        output.set(
            ChannelSlots::Single(0),
            f64::from(now.duration_since(start).subsec_micros() % 251) / 251.0,
            *now,
        );
        output.expect_more(*now);
        output.take(*now).is_some()
    });
    assert!(leaves.is_some_and(|at| at.duration_since(start) <= WHOLE_LIMIT + Duration::from_micros(300)));
}

#[test]
fn half_a_frame_that_the_pacing_held_back_leaves_whole_with_the_next_one() {
    let start = Instant::now();
    let mut output = UniverseOutput::new(OutputOptions::default(), 1);
    output.set(slot(1), 0.2, start);
    assert!(output.take(start).is_some(), "the rest of this frame comes too late");
    output.set(slot(2), 0.2, start + millis(1));
    output.expect_more(start + millis(1));
    // The next frame comes in parts just when the pacing would let the rest leave.
    let next = start + millis(22);
    output.set(slot(1), 0.4, next);
    output.expect_more(next);
    assert!(output.take(next + Duration::from_micros(400)).is_none());
    output.set(slot(2), 0.4, next + Duration::from_micros(400));
    output.expect_no_more();
    let frame = output.take(next + Duration::from_micros(400)).map(|levels| levels[..2].to_vec());
    assert_eq!(frame, Some(vec![102, 102]));
}

#[test]
fn a_process_that_was_not_running_routes_what_came_before_a_frame_leaves() {
    let start = Instant::now();
    let mut output = UniverseOutput::new(OutputOptions::default(), 1);
    output.set(slot(1), 1.0, start);
    output.expect_more(start);
    let back = start + millis(8);
    assert!(output.take(back).is_none(), "the rest is still to be routed");
    output.set(slot(2), 1.0, back);
    output.expect_no_more();
    assert_eq!(output.take(back).map(|levels| levels[..2].to_vec()), Some(vec![255, 255]));
}
