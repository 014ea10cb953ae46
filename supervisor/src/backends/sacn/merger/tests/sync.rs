//! Universe synchronisation (E1.31-2018 section 11).

use super::*;

const ADDRESS: u16 = 7000;

fn synchronised(source: u8, slots: &[u8]) -> SacnData<'_> {
    SacnData { sync_address: ADDRESS, ..packet(source, slots) }
}

fn sync(world: &mut World, sequence: u8) -> Result<(), SacnRefusal> {
    let packet = SacnSync { cid: cid(1), sequence, sync_address: ADDRESS };
    world.feed(Some(ADDRESS), &SacnPacket::Sync(packet))
}

/// A world with one source whose levels wait.
fn held() -> World {
    let mut world = World::new();
    world.send(synchronised(1, &[1])).expect("taken");
    sync(&mut world, 1).expect("taken");
    world.send(synchronised(1, &[2])).expect("taken");
    world
}

#[test]
fn levels_are_used_at_once_before_the_first_synchronisation() {
    let mut world = World::new();
    assert_eq!(sync(&mut world, 0), Err(SacnRefusal::NotUsed), "no source names the address");
    world.send(synchronised(1, &[1])).expect("taken");
    assert_eq!(world.levels()[0], 1);
    assert_eq!(world.merger.sync_addresses().collect::<Vec<_>>(), [ADDRESS]);
}

#[test]
fn levels_wait_for_the_packet_of_their_address() {
    let mut world = held();
    assert_eq!(world.levels()[0], 1);
    world.send(synchronised(1, &[3])).expect("taken");
    assert_eq!(world.levels()[0], 1);
    sync(&mut world, 2).expect("taken");
    assert_eq!(world.levels()[0], 3, "the latest ones");
    sync(&mut world, 3).expect("taken");
    assert_eq!(world.levels()[0], 3);
}

#[test]
fn priorities_of_slots_wait_as_well() {
    let mut world = held();
    world.send(packet(2, &[9])).expect("taken");
    assert_eq!(world.levels()[0], 9);
    let data = SacnData { start_code: START_CODE_PRIORITIES, ..synchronised(1, &[200]) };
    world.send(data).expect("taken");
    assert_eq!(world.levels()[0], 9);
    sync(&mut world, 2).expect("taken");
    assert_eq!(world.levels()[0], 2);
}

#[test]
fn synchronisation_packets_have_a_sequence_of_their_own() {
    let mut world = held();
    assert_eq!(sync(&mut world, 1), Err(SacnRefusal::OutOfSequence));
    assert_eq!(world.levels()[0], 1);
    let wrong = SacnSync { cid: cid(1), sequence: 2, sync_address: ADDRESS };
    assert_eq!(world.feed(Some(1), &SacnPacket::Sync(wrong)), Err(SacnRefusal::WrongGroup));
}

#[test]
fn without_force_synchronization_levels_wait_until_synchronisation_resumes() {
    let mut world = held();
    for _ in 0..4 {
        world.wait(milliseconds(1000));
        world.send(synchronised(1, &[4])).expect("taken");
    }
    assert_eq!(world.levels()[0], 1);
    sync(&mut world, 2).expect("taken");
    assert_eq!(world.levels()[0], 4);
}

#[test]
fn with_force_synchronization_levels_are_used_again_when_it_is_lost() {
    let mut world = held();
    let forced = |level: &'static [u8]| SacnData { forces_sync: true, ..synchronised(1, level) };
    world.wait(milliseconds(2499));
    world.send(forced(&[4])).expect("taken");
    assert_eq!(world.levels()[0], 1);
    world.wait(milliseconds(1));
    world.send(forced(&[5])).expect("taken");
    assert_eq!(world.levels()[0], 5);
    sync(&mut world, 2).expect("taken");
    assert_eq!(world.levels()[0], 5, "nothing older is released");
    world.send(forced(&[6])).expect("taken");
    assert_eq!(world.levels()[0], 5, "synchronised again");
}

#[test]
fn a_source_may_stop_to_be_synchronised() {
    let mut world = held();
    world.send(packet(1, &[8])).expect("taken");
    assert_eq!(world.levels()[0], 8);
    assert_eq!(world.merger.sync_addresses().count(), 0);
    assert_eq!(sync(&mut world, 2), Err(SacnRefusal::NotUsed));
}

#[test]
fn the_address_of_a_source_that_is_gone_is_not_needed() {
    let mut world = held();
    world.wait(milliseconds(2500));
    assert_eq!(world.merger.sync_addresses().count(), 0);
}
