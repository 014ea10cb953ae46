//! Large shows: the time to load them must be proportional to their size.
//!
//! The tests do not assert times. With quadratic work on these sizes they would not end.

use std::fmt::Write;

use crate::common::{mappings, show, text};

#[test]
fn a_hundred_thousand_mapping_lines() {
    let mut lines = String::from("[loopback a]\n[loopback b]\n[map]\n");
    (0..100_000).for_each(|n| writeln!(lines, "a.channel{n} > b.{}", n % 1000).expect("a string takes all"));
    let show = show(&lines);
    assert_eq!(show.mappings.len(), 100_000);
    assert_eq!(show.instances[1].channels.len(), 1000);
}

#[test]
fn thousands_of_instances_and_as_many_mistakes() {
    let mut lines = String::new();
    (0..20_000).for_each(|n| writeln!(lines, "[loopback instance{n}]").expect("a string takes all"));
    lines.push_str("[map]\n");
    (0..20_000).for_each(|n| writeln!(lines, "instance{n}.x > el{n}.x").expect("a string takes all"));
    let loaded = text(&lines);
    assert_eq!(loaded.show.instances.len(), 20_000);
    assert!(loaded.diagnostics.render(false).ends_with("20000 errors, 19000 of them not shown\n"));
}

#[test]
fn a_large_range_is_mapped_and_what_goes_beyond_all_limits_is_not() {
    let loaded = text("[loopback a]\n[map]\na.{1..100000} > a.x\na.y <> a.{1..1048576}\na.x > a.y\n");
    assert_eq!(loaded.show.mappings.len(), 100_000);
    insta::assert_snapshot!(loaded.diagnostics.render(false));
}

#[test]
fn many_ranges_in_one_name() {
    let show = show(&format!("[loopback a]\n[map]\na.{} > a.x\n", "{p,q}".repeat(10)));
    assert_eq!(show.mappings.len(), 1024);
    assert_eq!(mappings(&show)[1], "a.pppppppppq > a.x");
}
