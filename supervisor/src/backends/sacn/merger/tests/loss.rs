//! Sources that fall silent.

use super::*;

/// Feeds frames of these sources every 20 ms for some time.
fn stream(world: &mut World, sources: &[SacnData<'_>], time: Duration) {
    let end = world.now + time;
    while world.now < end {
        for source in sources {
            world.send(*source).expect("taken");
        }
        world.wait(milliseconds(20));
    }
}

#[test]
fn a_source_is_lost_two_and_a_half_seconds_after_its_last_levels() {
    let mut world = World::new();
    world.send(packet(1, &[5])).expect("taken");
    world.wait(milliseconds(2499));
    assert_eq!(world.levels()[0], 5);
    world.wait(milliseconds(1));
    assert_eq!(world.levels()[0], 0);
    assert_eq!(world.changes, [(Appeared, 1), (Lost, 1)]);
    assert_eq!(world.merger.deadline(), None);
}

#[test]
fn keep_alive_frames_and_preview_keep_a_source() {
    let mut world = World::new();
    world.send(packet(1, &[5])).expect("taken");
    for _ in 0..5 {
        world.wait(milliseconds(1000));
        world.send(packet(1, &[5])).expect("taken");
    }
    assert_eq!(world.changes, [(Appeared, 1)]);
}

#[test]
fn levels_are_held_where_the_show_asks_for_it() {
    let options = SacnMergerOptions { universe: UNIVERSE, from: None, settle: Duration::ZERO, holds: true };
    let mut world = World::with(options);
    world.send(packet(1, &[5, 6])).expect("taken");
    world.wait(milliseconds(2500));
    assert_eq!((world.levels(), world.merger.merged().ranks[0]), ([5, 6, 0], 0));
    world.send(packet(2, &[1])).expect("taken");
    assert_eq!(world.levels(), [1, 6, 0], "the next source has what it sends");
}

#[test]
fn a_backup_takes_over_when_the_main_source_is_lost() {
    let mut world = World::new();
    let main = SacnData { priority: 200, ..packet(1, &[200]) };
    let backup = packet(2, &[100]);
    stream(&mut world, &[main, backup], milliseconds(1000));
    assert_eq!(world.levels()[0], 200);
    stream(&mut world, &[backup], milliseconds(2460));
    assert_eq!(world.levels()[0], 200);
    stream(&mut world, &[backup], milliseconds(60));
    assert_eq!(world.levels()[0], 100, "the backup was received a moment ago, so it wins at once");
    assert_eq!(world.changes[2..], [(Lost, 1)]);
}

/// Anchors F8: the receiver's cable is pulled. The source of the higher priority, which is dark,
/// is lost first; the other one is at full.
#[test]
fn a_pulled_cable_does_not_flash_the_source_of_the_lower_priority() {
    for apart in [0, 1, 5, 30, 90] {
        let mut world = World::new();
        let dark = SacnData { priority: 100, ..packet(1, &[0]) };
        let full = SacnData { priority: 90, ..packet(2, &[255]) };
        stream(&mut world, &[dark, full], milliseconds(1000));
        world.send(dark).expect("taken");
        world.wait(milliseconds(apart));
        world.send(full).expect("taken");
        for _ in 0..6000 {
            world.wait(milliseconds(1));
            assert_eq!(world.levels()[0], 0, "{apart} ms apart");
        }
        assert_eq!(world.changes[2..], [(Lost, 1), (Lost, 2)]);
    }
}

#[test]
fn a_keep_alive_source_takes_over_with_its_next_frame() {
    let mut world = World::new();
    let dark = SacnData { priority: 100, ..packet(1, &[0]) };
    let full = SacnData { priority: 90, ..packet(2, &[255]) };
    world.send(dark).expect("taken");
    world.wait(milliseconds(500));
    for _ in 0..2 {
        world.send(full).expect("taken");
        world.wait(milliseconds(1000));
        assert_eq!(world.levels()[0], 0);
    }
    world.wait(milliseconds(300));
    assert_eq!(world.levels()[0], 0, "lost, but the other one may be as well");
    world.send(full).expect("taken");
    assert_eq!(world.levels()[0], 255);
    assert_eq!(world.changes[2..], [(Lost, 1)]);
}

#[test]
fn a_source_that_is_heard_again_before_it_goes_was_never_lost() {
    let mut world = World::new();
    let main = SacnData { priority: 100, ..packet(1, &[10]) };
    world.send(main).expect("taken");
    world.wait(milliseconds(1500));
    world.send(SacnData { priority: 90, ..packet(2, &[255]) }).expect("taken");
    world.wait(milliseconds(1100));
    world.send(main).expect("taken");
    assert_eq!((world.levels()[0], world.changes.len()), (10, 2));
}

#[test]
fn sources_that_are_lost_while_another_one_is_looked_for_go_together() {
    let mut world = World::new();
    let source = |number, priority, level: &'static [u8]| SacnData { priority, ..packet(number, level) };
    world.send(source(1, 100, &[1])).expect("taken");
    world.wait(milliseconds(700));
    world.send(source(2, 90, &[2])).expect("taken");
    world.wait(milliseconds(600));
    world.send(source(3, 80, &[3])).expect("taken");
    world.wait(milliseconds(2300));
    assert_eq!(world.levels()[0], 1, "1 and 2 are silent for 2.5 s, 3 is not");
    world.send(source(3, 80, &[3])).expect("taken");
    assert_eq!(world.levels()[0], 3);
    assert_eq!(world.changes[3..], [(Lost, 1), (Lost, 2)]);
}

#[test]
fn a_packet_after_a_pause_of_this_process_loses_no_other_source() {
    let mut world = World::new();
    let main = SacnData { priority: 100, ..packet(1, &[1]) };
    let backup = SacnData { priority: 90, ..packet(2, &[2]) };
    world.send(main).expect("taken");
    world.send(backup).expect("taken");
    // No timer runs in the pause.
    world.now += milliseconds(4000);
    world.send(backup).expect("taken");
    assert_eq!(world.levels()[0], 1);
    world.send(main).expect("taken");
    world.wait(milliseconds(100));
    assert_eq!((world.levels()[0], world.changes.len()), (1, 2));
}
