//! The rules of the queue one by one, and all of them together under random loads.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn event(channel: u32) -> QueuedEvent {
    QueuedEvent { source: SourceIndex(channel), value: 0.5 }
}

/// All that waits, with the source's channel and the targets, for channels with so many targets.
fn drained(queue: &mut FairQueue, targets: usize) -> Vec<(u32, Range<usize>)> {
    let next = || queue.next(|_| targets).map(|share| (share.event.source.0, share.targets));
    std::iter::from_fn(next).collect()
}

#[test]
fn a_full_queue_neither_holds_up_nor_conflates_another() {
    let mut queue = FairQueue::new(2, 1000);
    (0..5000).for_each(|_| queue.push(InstanceId(1), event(1)));
    (0..100).for_each(|_| queue.push(InstanceId(0), event(0)));
    assert_eq!((queue.waiting(InstanceId(0)), queue.waiting(InstanceId(1))), (100, 1001));
    assert_eq!((queue.conflated(InstanceId(0)), queue.conflated(InstanceId(1))), (0, 3999));
    assert_eq!(queue.all_conflated(), 3999);
    let first: Vec<u32> =
        (0..400).filter_map(|_| queue.next(|_| 1)).map(|share| share.event.source.0).collect();
    assert_eq!(first.iter().filter(|channel| **channel == 0).count(), 100);
}

#[test]
fn events_of_one_source_are_taken_in_order() {
    let mut queue = FairQueue::new(1, 1000);
    (0..200).for_each(|channel| queue.push(InstanceId(0), event(channel)));
    let taken: Vec<u32> = drained(&mut queue, 1).into_iter().map(|(channel, _)| channel).collect();
    assert_eq!(taken, (0..200).collect::<Vec<_>>());
    assert!(queue.is_empty());
}

#[test]
fn an_event_with_many_targets_is_routed_in_parts_between_those_of_others() {
    let mut queue = FairQueue::new(2, 10);
    queue.push(InstanceId(0), event(0));
    queue.push(InstanceId(1), event(1));
    let targets = |source: SourceIndex| if source.0 == 0 { 150 } else { 1 };
    let next = |queue: &mut FairQueue| queue.next(targets).map(|share| (share.targets, share.is_last));
    assert_eq!(next(&mut queue), Some((0..64, false)));
    assert_eq!(next(&mut queue), Some((0..1, true)), "the other source");
    assert_eq!(queue.waiting(InstanceId(0)), 1, "one that was begun waits too");
    assert_eq!(next(&mut queue), Some((64..128, false)));
    assert_eq!(next(&mut queue), Some((128..150, true)));
    assert_eq!(next(&mut queue), None);
}

#[test]
fn an_event_without_targets_counts_as_one() {
    let mut queue = FairQueue::new(2, 1000);
    (0..200).for_each(|_| queue.push(InstanceId(0), event(0)));
    queue.push(InstanceId(1), event(1));
    let place = drained(&mut queue, 0).iter().position(|(channel, _)| *channel == 1);
    assert_eq!(place, Some(64));
}

#[test]
fn what_is_left_of_events_that_were_begun_can_be_taken_out_alone() {
    let mut queue = FairQueue::new(3, 10);
    (0..3).for_each(|source| queue.push(InstanceId(source), event(source as u32)));
    queue.push(InstanceId(0), event(0));
    assert!((0..2).all(|_| queue.next(|_| 100).is_some_and(|share| !share.is_last)));
    let begun: Vec<Range<usize>> =
        std::iter::from_fn(|| queue.next_begun(|_| 100)).map(|share| share.targets).collect();
    assert_eq!(begun, [64..100, 64..100]);
    let left = drained(&mut queue, 1);
    assert_eq!(left.len(), 2);
    assert!(queue.is_empty());
}

#[test]
fn another_show_changes_what_waits_and_keeps_the_counts() {
    let mut queue = FairQueue::new(2, 2);
    (0..5).for_each(|_| queue.push(InstanceId(0), event(7)));
    queue.push(InstanceId(1), event(8));
    queue.resize(3);
    queue
        .change_all(|event| (event.source.0 == 7).then_some(QueuedEvent { source: SourceIndex(9), ..event }));
    assert_eq!(drained(&mut queue, 1), [(9, 0..1), (9, 0..1), (9, 0..1)]);
    assert_eq!(queue.conflated(InstanceId(0)), 2);
    queue.push(InstanceId(2), event(3));
    assert_eq!(drained(&mut queue, 1), [(3, 0..1)]);
}

const SOURCES: usize = 4;
const CHANNELS: u32 = 3;
const LIMIT: usize = 20;

/// Channel numbers of different sources do not overlap.
fn channel(source: usize, channel: u32) -> SourceIndex {
    SourceIndex(source as u32 * CHANNELS + channel)
}

#[derive(Debug, Clone)]
enum Step {
    Push { source: usize, channel: u32 },
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..SOURCES, 0..CHANNELS).prop_map(|(source, channel)| Step::Push { source, channel }),
        Just(Step::Take),
    ]
}

/// What each source has pushed and what came out of it, by source.
#[derive(Default)]
struct Record {
    pushed: [Vec<(SourceIndex, f64)>; SOURCES],
    taken: [Vec<(SourceIndex, f64)>; SOURCES],
    /// The first target of each channel's event that has not had it.
    next_target: HashMap<SourceIndex, usize>,
}

impl Record {
    fn take(&mut self, queue: &mut FairQueue, targets: &[usize]) -> Result<bool, TestCaseError> {
        let count = |source: SourceIndex| targets[source.index()];
        let Some(EventShare { event, targets, is_last }) = queue.next(count) else { return Ok(false) };
        let next = self.next_target.remove(&event.source).unwrap_or(0);
        prop_assert_eq!(targets.start, next, "each target has it once, in order");
        prop_assert_eq!(is_last, targets.end == count(event.source));
        if is_last {
            self.taken[event.source.index() / CHANNELS as usize].push((event.source, event.value));
        } else {
            self.next_target.insert(event.source, targets.end);
        }
        Ok(true)
    }
}

proptest! {
    /// Order within a source, nothing lost up to the bound, and beyond it the last value of each
    /// channel.
    #[test]
    fn each_source_gets_all_that_fits_in_order_and_the_last_values_beyond(
        steps in prop::collection::vec(step(), 1..400),
        targets in prop::collection::vec(0..200_usize, SOURCES * CHANNELS as usize),
    ) {
        let mut queue = FairQueue::new(SOURCES, LIMIT);
        let mut record = Record::default();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { source, channel: number_of_channel } => {
                    let (source_index, value) = (channel(source, number_of_channel), number as f64);
                    queue.push(InstanceId(source), QueuedEvent { source: source_index, value });
                    record.pushed[source].push((source_index, value));
                }
                Step::Take => drop(record.take(&mut queue, &targets)?),
            }
        }
        while record.take(&mut queue, &targets)? {}
        prop_assert!(queue.is_empty());
        for source in 0..SOURCES {
            let (pushed, taken) = (&record.pushed[source], &record.taken[source]);
            let conflated = queue.conflated(InstanceId(source)) as usize;
            prop_assert_eq!(pushed.len(), taken.len() + conflated);
            if conflated == 0 {
                prop_assert_eq!(pushed, taken);
            }
            for number in 0..CHANNELS {
                let of = |events: &[(SourceIndex, f64)]| -> Vec<f64> {
                    let own = events.iter().filter(|(source_index, _)| *source_index == channel(source, number));
                    own.map(|(_, value)| *value).collect()
                };
                let (pushed, taken) = (of(pushed), of(taken));
                prop_assert_eq!(pushed.last(), taken.last());
                prop_assert!(taken.is_sorted(), "no event of a channel overtakes an earlier one");
            }
        }
    }

    /// While all sources have events waiting, none is more than a turn ahead of another in targets,
    /// however many its events have.
    #[test]
    fn sources_that_all_have_events_are_routed_to_as_many_targets_each(
        targets in prop::collection::vec(1..1000_usize, SOURCES),
        shares in 1..2000_usize,
    ) {
        let mut queue = FairQueue::new(SOURCES, usize::MAX);
        let mut served = [0_usize; SOURCES];
        for (source, count) in targets.iter().enumerate() {
            let events = shares * TURN_LIMIT / count + 1;
            (0..events).for_each(|_| queue.push(InstanceId(source), event(source as u32)));
        }
        for _ in 0..shares {
            let Some(share) = queue.next(|source| targets[source.index()]) else { break };
            served[share.event.source.index()] += share.targets.len();
            if (0..SOURCES).any(|source| queue.waiting(InstanceId(source)) == 0) {
                break;
            }
            let (most, least) = (served.iter().max(), served.iter().min());
            let ahead = most.copied().unwrap_or(0) - least.copied().unwrap_or(0);
            prop_assert!(ahead <= TURN_LIMIT, "{served:?}");
        }
    }
}
