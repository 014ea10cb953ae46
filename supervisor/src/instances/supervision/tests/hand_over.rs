//! Which worker serves when a reload meets slow handlers, crashes, stops and other reloads.

use super::super::lifecycle::{AfterExit, LifeEvent, LifeState};
use super::super::stop::{STACKS_TIMEOUT, TERM_GRACE};
use super::super::workers::Role;
use super::{Order, STOP_TIMEOUT, Task, World};
use crate::ids::WorkerId;
use std::time::Duration;

/// Worker 1 handles event 1 of three while worker 2, which is ready, waits for it.
fn handing_over() -> World {
    let mut world = World::running();
    for _ in 0..3 {
        world.send(0);
    }
    world.take(1);
    world.command(LifeEvent::Reload);
    world.import(2);
    assert_eq!((world.role(1), world.role(2)), (Some(Role::HandingOver), Some(Role::Ready)));
    world
}

/// Worker 1 finishes its handler and yields; all three events are handled by then or by `next`, in
/// order.
fn finish_with(mut world: World, next: u64) {
    world.finish(1);
    world.yield_events(1);
    assert_eq!(world.role(next), Some(Role::Serving));
    assert_eq!(world.worker(next).knows, Some(1), "it serves with older values");
    for _ in 0..2 {
        world.take(next);
        world.finish(next);
    }
    assert_eq!(world.handled, [(0, 1), (0, 2), (0, 3)]);
    let others = world.supervision.workers().iter().filter(|member| member.role().is_attached()).count();
    assert_eq!(others, 1);
}

#[test]
fn a_successor_serves_when_its_predecessor_has_yielded() {
    finish_with(handing_over(), 2);
}

#[test]
fn a_reload_while_the_last_one_s_predecessor_still_handles_waits_for_it_too() {
    let mut world = handing_over();
    world.command(LifeEvent::Reload);
    world.import(3);
    assert_eq!(world.role(2), Some(Role::Retiring));
    assert_eq!(world.orders(2), [Order::Stop]);
    finish_with(world, 3);
}

#[test]
fn a_reload_that_fails_while_the_predecessor_still_handles_leaves_the_first_successor() {
    let mut world = handing_over();
    world.command(LifeEvent::Reload);
    world.exit(3, false);
    finish_with(world, 2);
}

#[test]
fn a_successor_that_dies_before_it_serves_is_followed_by_one_that_waits() {
    let mut world = handing_over();
    world.exit(2, false);
    world.import(3);
    assert_eq!(world.role(3), Some(Role::Ready));
    finish_with(world, 3);
}

#[test]
fn a_predecessor_that_dies_hands_over_as_well() {
    let mut world = handing_over();
    world.exit(1, false);
    assert_eq!((world.role(2), world.lost.as_slice()), (Some(Role::Serving), [(0, 1)].as_slice()));
    assert_eq!(world.worker(2).ring, [(0, 2), (0, 3)]);
}

#[test]
fn a_stop_while_the_predecessor_still_handles_is_over_when_both_have_ended() {
    let mut world = handing_over();
    world.command(LifeEvent::Stop);
    assert_eq!(world.orders(2), [Order::Stop]);
    world.yield_events(2);
    world.exit(2, true);
    assert_eq!(world.state(), LifeState::Stopping { after: AfterExit::StayStopped });
    world.finish(1);
    world.yield_events(1);
    assert_eq!(world.state(), LifeState::Stopped);
    assert_eq!(world.queue, [(0, 2), (0, 3)]);
}

#[test]
fn a_stop_limits_the_time_of_the_handler_that_a_reload_waits_for() {
    let mut world = handing_over();
    world.command(LifeEvent::Stop);
    world.exit(2, true);
    world.next_tick();
    assert_eq!(world.orders(1), [Order::Stop, Order::Stacks]);
}

#[test]
fn a_stop_and_a_start_while_the_predecessor_still_handles_start_one_after_it() {
    let mut world = handing_over();
    world.command(LifeEvent::Stop);
    world.command(LifeEvent::Start);
    world.exit(2, true);
    world.finish(1);
    world.yield_events(1);
    // Its cleanup handler may still hold what the next one needs.
    assert_eq!(world.role(3), None);
    world.exit(1, true);
    world.import(3);
    assert_eq!((world.role(3), world.worker(3).knows), (Some(Role::Serving), Some(1)));
    assert_eq!(world.worker(3).ring, [(0, 2), (0, 3)]);
}

#[test]
fn a_restart_starts_the_next_worker_when_no_other_one_is_left() {
    let mut world = World::running();
    world.command(LifeEvent::Reload);
    world.import(2);
    world.yield_events(1);
    assert_eq!((world.role(1), world.role(2)), (Some(Role::Retiring), Some(Role::Serving)));
    world.command(LifeEvent::Restart);
    world.yield_events(2);
    world.exit(2, true);
    assert_eq!(world.role(3), None, "beside a worker that has not ended");
    world.exit(1, true);
    assert_eq!(world.role(3), Some(Role::Starting));
}

#[test]
fn a_replacement_that_is_not_wanted_ends_and_the_main_worker_goes_on() {
    let mut world = World::running();
    world.command(LifeEvent::Reload);
    let moment = world.moment();
    world.supervision.refuse_replacement(moment);
    assert_eq!((world.role(1), world.role(2)), (Some(Role::Serving), Some(Role::Retiring)));
    assert_eq!(world.orders(2), [Order::Kill]);
    assert!(matches!(world.state(), LifeState::Running { .. }));
}

#[test]
fn another_version_is_started_at_once_in_place_of_a_worker_that_never_served() {
    let mut world = World::running();
    world.exit(1, false);
    let moment = world.moment();
    world.starts.finished(WorkerId(2));
    world.supervision.exited_for_another(WorkerId(2), moment);
    world.follow_up();
    assert_eq!((world.role(2), world.role(3)), (None, Some(Role::Starting)));
    world.import(3);
    assert_eq!(world.role(3), Some(Role::Serving));
}

#[test]
fn a_stop_during_back_off_waits_for_the_predecessor() {
    let mut world = handing_over();
    world.exit(2, false);
    world.exit(3, false);
    assert!(matches!(world.state(), LifeState::Backoff { .. }));
    world.command(LifeEvent::Stop);
    assert_eq!(world.state(), LifeState::Stopping { after: AfterExit::StayStopped });
    world.finish(1);
    world.yield_events(1);
    assert_eq!(world.state(), LifeState::Stopped);
}

#[test]
fn a_handler_has_longer_than_stop_timeout_during_a_reload_and_the_cleanup_handler_has_not() {
    let mut world = handing_over();
    world.now += STOP_TIMEOUT * 10;
    world.tick();
    assert_eq!(world.orders(1), [Order::Stop]);
    world.finish(1);
    world.yield_events(1);
    let yielded = world.now;
    world.next_tick();
    assert_eq!((world.now - yielded, world.orders(1)), (STOP_TIMEOUT, vec![Order::Stop, Order::Stacks]));
    assert_eq!(world.reports.last(), Some(&Task::ReportStopTimeout(WorkerId(1))));
}

#[test]
fn a_handler_that_hangs_during_a_reload_is_ended_by_the_watchdog() {
    let mut world = handing_over();
    let moment = world.moment();
    world.supervision.hangs(WorkerId(1), moment);
    world.next_tick();
    assert_eq!(world.orders(1), [Order::Stop, Order::Stacks, Order::Kill]);
    world.exit(1, false);
    assert_eq!(world.role(2), Some(Role::Serving));
}

#[test]
fn a_worker_that_dies_while_its_replacement_imports_is_followed_by_it_with_the_newest_values() {
    let mut world = World::running();
    world.command(LifeEvent::Reload);
    world.send(0);
    world.take(1);
    world.finish(1);
    world.send(0);
    world.exit(1, false);
    assert_eq!(world.role(2), Some(Role::Starting));
    world.import(2);
    assert_eq!((world.role(2), world.worker(2).knows), (Some(Role::Serving), Some(1)));
    assert_eq!(world.worker(2).ring, [(0, 2)]);
}

#[test]
fn a_worker_that_stops_unasked_is_pressed_to_its_end_and_restarted() {
    let mut world = World::running();
    world.yield_events(1);
    assert!(!world.supervision.is_serving());
    assert_eq!(world.state(), LifeState::Stopping { after: AfterExit::ApplyPolicy });
    for _ in 0..3 {
        world.next_tick();
    }
    assert_eq!(world.orders(1), [Order::Stop, Order::Stacks, Order::Term, Order::Kill]);
    world.exit(1, false);
    world.import(2);
    assert_eq!(world.role(2), Some(Role::Serving));
}

#[test]
fn a_stop_presses_harder_step_by_step() {
    let mut world = World::running();
    let asked = world.now;
    world.command(LifeEvent::Stop);
    let mut times = Vec::new();
    while world.supervision.deadline().is_some() {
        world.next_tick();
        times.push(world.now - asked);
    }
    assert_eq!(world.orders(1), [Order::Stop, Order::Stacks, Order::Term, Order::Kill]);
    let overdue = STOP_TIMEOUT + STACKS_TIMEOUT;
    assert_eq!(times, [STOP_TIMEOUT, overdue, overdue + TERM_GRACE]);
    assert_eq!(world.reports, [Task::ReportStopTimeout(WorkerId(1))]);
    world.exit(1, false);
    assert_eq!(world.state(), LifeState::Stopped);
}

#[test]
fn an_import_that_takes_too_long_shows_its_stacks_and_is_killed() {
    let mut world = World::new();
    world.command(LifeEvent::Start);
    world.next_tick();
    assert_eq!(world.reports, [Task::ReportStartTimeout(WorkerId(1))]);
    assert_eq!(world.orders(1), [Order::Stacks]);
    world.now += STACKS_TIMEOUT - Duration::from_nanos(1);
    world.tick();
    assert_eq!(world.orders(1), [Order::Stacks]);
    world.next_tick();
    assert_eq!(world.orders(1), [Order::Stacks, Order::Kill]);
}

#[test]
fn a_fault_kills_once() {
    let mut world = World::running();
    for _ in 0..2 {
        let moment = world.moment();
        world.supervision.fault(WorkerId(1), false, moment);
    }
    assert_eq!(world.orders(1), [Order::Kill]);
}
