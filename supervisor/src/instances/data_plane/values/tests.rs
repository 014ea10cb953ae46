//! Values stay with their names, whatever workers come and go, and names stay within their bounds.

use super::*;
use mm_shared::control::{EXTRA_NAME_BYTES, NAME_LIMIT};

fn event(channel: u32, value: f64) -> Event {
    Event { channel: ChannelId(channel), value }
}

fn values(mapped: &[&str]) -> Values {
    Values::new(mapped.iter().map(|name| (*name).to_owned()))
}

/// What a worker that is started now gets.
fn boot(values: &Values) -> Vec<(String, f64, f64)> {
    let channels = values.boot().0;
    channels.channels().map(|channel| (channel.name, channel.input, channel.output)).collect()
}

fn names(values: &Values) -> Vec<String> {
    boot(values).into_iter().map(|(name, _, _)| name).collect()
}

/// A worker is started and serves at once.
fn next_worker(values: &mut Values) {
    let (_, booted) = values.boot();
    assert_eq!(values.serve(booted), []);
}

/// The worker that serves adds so many names and sends on each.
fn add(values: &mut Values, count: usize, name: impl Fn(usize) -> String) {
    for index in 0..count {
        let number = u32::try_from(values.names.len()).expect("a number");
        values.named(number, &name(index)).expect("there is room");
        values.sent(event(number, 0.5));
    }
}

#[test]
fn an_input_counts_when_its_handler_is_done() {
    let mut values = values(&["a", "b"]);
    values.taken(event(0, 0.1));
    values.taken(event(1, 0.2));
    values.ended(false);
    assert_eq!(boot(&values), [("a".into(), 0.1, 0.0), ("b".into(), 0.0, 0.0)]);
    values.taken(event(1, 0.3));
    values.ended(true);
    assert_eq!(boot(&values)[1], ("b".into(), 0.3, 0.0));
}

#[test]
fn names_that_the_script_added_keep_their_numbers_and_values() {
    let mut values = values(&["a"]);
    values.sent(event(1, 0.5));
    assert_eq!(values.named(1, "extra"), Ok(()));
    assert_eq!(values.named(0, "not this"), Err(NameError::OutOfTurn));
    assert_eq!(values.named(3, "a gap"), Err(NameError::OutOfTurn));
    assert_eq!(boot(&values)[1], ("extra".into(), 0.0, 0.5));
}

#[test]
fn a_value_whose_name_comes_after_the_next_worker_was_started_is_kept() {
    let mut values = values(&["a"]);
    values.sent(event(1, 0.5));
    let (_, booted) = values.boot();
    assert_eq!(booted.given, 1);
    values.named(1, "extra").expect("the next number");
    let changed = values.serve(booted);
    assert_eq!(changed.iter().map(ChangedValue::boot).map(|boot| boot.output).collect::<Vec<_>>(), [0.5]);
    values.named(1, "extra").expect("the next number");
    assert_eq!(boot(&values)[1], ("extra".into(), 0.0, 0.5));
}

#[test]
fn a_value_whose_name_never_came_is_forgotten() {
    let mut values = values(&["a"]);
    values.sent(event(1, 0.5));
    next_worker(&mut values);
    values.named(1, "other").expect("the next number");
    assert_eq!(boot(&values)[1], ("other".into(), 0.0, 0.0));
}

#[test]
fn values_stay_with_their_names_when_a_successor_numbers_them_its_own_way() {
    let mut values = values(&["a"]);
    let (_, mut booted) = values.boot();
    for (number, name) in [(1, "x"), (2, "y")] {
        values.named(number, name).expect("the next number");
        values.sent(event(number, f64::from(number) / 4.0));
    }
    assert_eq!(booted.add(1, "y"), Ok(()));
    assert_eq!(booted.add(3, "gap"), Err(NameError::OutOfTurn));
    assert_eq!(values.serve(booted).len(), 2);
    assert_eq!(boot(&values)[1..], [("y".into(), 0.0, 0.5)]);
    assert_eq!(values.named(2, "x"), Ok(()));
    assert_eq!(boot(&values)[2], ("x".into(), 0.0, 0.25));
}

#[test]
fn a_worker_that_was_started_before_another_one_served_gets_its_values_by_name() {
    let mut values = values(&["a"]);
    let (_, mut first) = values.boot();
    let (_, mut second) = values.boot();
    first.add(1, "x").expect("the next number");
    second.add(1, "y").expect("the next number");
    let _ = values.serve(first);
    values.sent(event(1, 0.25));
    values.named(2, "y").expect("the next number");
    values.sent(event(2, 0.75));
    assert_eq!(values.serve(second).len(), 2);
    assert_eq!(boot(&values)[1..], [("y".into(), 0.0, 0.75)]);
    values.named(2, "x").expect("the next number");
    assert_eq!(boot(&values)[2], ("x".into(), 0.0, 0.25));
}

#[test]
fn values_stay_with_their_names_when_the_show_changes() {
    let mut values = values(&["a", "b"]);
    values.sent(event(1, 0.5));
    values.named(2, "extra").expect("the next number");
    values.sent(event(2, 0.7));
    values.rename(vec!["a".into(), "b".into(), "new".into()]);
    assert_eq!(values.mapped(), 3);
    let outputs: Vec<_> = boot(&values).into_iter().map(|(name, _, output)| (name, output)).collect();
    let expected = [("a", 0.0), ("b", 0.5), ("new", 0.0), ("extra", 0.7)];
    assert_eq!(outputs, expected.map(|(name, output)| (name.to_owned(), output)));
}

#[test]
fn the_number_of_names_their_length_and_their_bytes_are_bounded() {
    let mut values = values(&["a"]);
    values.sent(event(values.limit(), 1.0));
    assert_eq!(values.slots.len(), 1);
    let long = "x".repeat(NAME_LIMIT + 1);
    for name in ["", "nul\0", &long] {
        assert_eq!(values.named(1, name), Err(NameError::Unusable));
    }
    add(&mut values, EXTRA_CHANNELS as usize, |index| format!("n{index}"));
    assert_eq!(values.named(values.limit(), "too many"), Err(NameError::TooMany));
    let mut values = Values::new(["a".to_owned()]);
    add(&mut values, EXTRA_NAME_BYTES as usize / NAME_LIMIT, |index| {
        format!("{index:0width$}", width = NAME_LIMIT)
    });
    let number = u32::try_from(values.names.len()).expect("a number");
    assert_eq!(values.named(number, "x"), Err(NameError::TooMany));
    assert!(values.boot_bytes() < 8 << 20);
}

#[test]
fn what_a_worker_may_add_is_what_is_accepted_from_it() {
    let mut values = values(&["a"]);
    for round in 0..5 {
        let (snapshot, booted) = values.boot();
        let mut allowance = snapshot.allowance();
        assert_eq!(values.serve(booted), []);
        let mut number = u32::try_from(values.names.len()).expect("a number");
        while allowance.take(&format!("{round}-{number}")).is_ok() {
            values.named(number, &format!("{round}-{number}")).expect("it is within the allowance");
            number += 1;
        }
        assert_eq!(number, values.limit());
    }
}

#[test]
fn names_that_are_not_used_any_more_make_room_for_others_when_a_worker_is_started() {
    let mut values = values(&["a"]);
    let half = EXTRA_CHANNELS as usize / 2;
    for round in 0..20 {
        next_worker(&mut values);
        assert!(values.names.len() <= half + 1 + 30_000, "{}", values.names.len());
        // One that is in use throughout.
        if round == 0 {
            add(&mut values, 1, |_| "used".into());
        }
        let used = values.names.iter().position(|name| &**name == "used").expect("it is in use");
        values.sent(event(u32::try_from(used).expect("a number"), f64::from(round) / 32.0));
        add(&mut values, 30_000, |index| format!("{round}-{index}"));
    }
    let names = names(&values);
    assert!(names.contains(&"used".to_owned()) && names.contains(&"19-0".to_owned()));
    assert!(!names.contains(&"17-0".to_owned()));
}

#[test]
fn names_in_use_are_kept_however_many_they_are() {
    let mut values = values(&["a"]);
    add(&mut values, 60_000, |index| format!("n{index}"));
    for _ in 0..3 {
        next_worker(&mut values);
        assert_eq!(values.names.len(), 60_001);
        (1..60_001).for_each(|number| values.sent(event(number, 0.5)));
    }
}

#[test]
fn a_worker_that_was_not_given_a_name_gets_it_back_if_its_predecessor_has_used_it_since() {
    let mut values = values(&["a"]);
    add(&mut values, 60_000, |index| format!("n{index}"));
    next_worker(&mut values);
    let (_, booted) = values.boot();
    assert_eq!(booted.given, EXTRA_CHANNELS as usize / 2 + 1);
    values.sent(event(1, 0.25));
    let changed: Vec<_> = values.serve(booted).iter().map(ChangedValue::boot).collect();
    assert_eq!(changed.iter().map(|boot| (&*boot.name, boot.output)).collect::<Vec<_>>(), [("n0", 0.25)]);
    let number = u32::try_from(values.names.len()).expect("a number");
    values.named(number, "n0").expect("there is room");
    assert_eq!(values.output(ChannelId(number)), Some(0.25));
    assert_eq!(values.name(ChannelId(1)), "n27232");
}

#[test]
fn values_of_the_last_run_come_back_by_name_and_new_names_are_added() {
    let mut values = values(&["a", "b"]);
    let saved = [("b", 0.1, 0.2), ("extra", 0.3, 0.4), ("extra", 0.5, 0.6)];
    let saved = saved.map(|(name, input, output)| (Arc::from(name), input, output));
    assert_eq!(values.restore(saved.iter().map(|(name, input, output)| (name, *input, *output))), 0);
    let expected = [("a".into(), 0.0, 0.0), ("b".into(), 0.1, 0.2), ("extra".into(), 0.5, 0.6)];
    assert_eq!(boot(&values), expected);
}

#[test]
fn names_of_the_last_run_are_bounded_as_well() {
    let mut values = values(&["a"]);
    let names: Vec<Arc<str>> = (0..70_000).map(|number| Arc::from(format!("n{number}"))).collect();
    let left_out = values.restore(names.iter().map(|name| (name, 0.0, 0.5)));
    assert_eq!(left_out, 70_000 - EXTRA_CHANNELS as usize);
    assert_eq!(values.restore([(&Arc::from("x".repeat(NAME_LIMIT + 1)), 0.0, 0.5)]), 1);
}

#[test]
fn a_channel_that_was_never_sent_on_is_known_as_such_after_the_next_start() {
    let mut before = values(&["a", "b"]);
    before.sent(event(0, 0.0));
    let instance: Arc<str> = "py".into();
    let saved: Vec<_> = before.snapshot().saved(&instance).collect();
    let mut after = values(&["a", "b"]);
    after.restore(saved.iter().map(|saved| (&saved.channel, saved.input, saved.output)));
    assert_eq!([0, 1].map(|number| after.output(ChannelId(number))), [Some(0.0), None]);
}

/// Searching for each name would take 45 billion comparisons.
#[test]
fn values_of_very_many_channels_come_back() {
    let names: Vec<Arc<str>> = (0..300_000).map(|number| Arc::from(format!("channel{number}"))).collect();
    let mut values = Values::new(names.iter().map(|name| name.to_string()));
    values.restore(names.iter().rev().map(|name| (name, 0.25, 0.5)));
    assert!(values.slots.iter().all(|slot| (slot.input, slot.output) == (0.25, Some(0.5))));
}

#[test]
fn a_worker_is_told_the_values_that_have_changed_since_its_boot() {
    let mut values = values(&["a", "b"]);
    next_worker(&mut values);
    let (_, booted) = values.boot();
    values.sent(event(1, 0.5));
    let changed = values.serve(booted);
    assert_eq!(changed.iter().map(ChangedValue::boot).map(|boot| boot.name).collect::<Vec<_>>(), ["b"]);
}
