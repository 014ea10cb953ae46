//! `status INSTANCE` of an instance that speaks DMX: its universe, and who sends it.

use super::super::protocol::{SourceStatus, UniverseStatus};
use super::detail::aligned;
use super::text::{Paint, clean, dimmed, duration, microseconds, painted};
use std::fmt::Write as _;

/// The destination of a universe that goes to all nodes that have it.
const DISCOVER: &str = "discover";

/// How many characters of a name fit into 80 columns beside the rest.
const NAME_WIDTH: usize = 32;

/// The universes of an instance, one paragraph each. `peers` are the nodes that it sends to.
pub(super) fn render(out: &mut String, universes: &[UniverseStatus], peers: &[String], color: bool) {
    // writing to a String cannot fail
    for universe in universes {
        let interface = universe.interface.as_deref().map(|name| format!(" on {}", clean(name)));
        let name = painted(&title(universe), Paint::Bold, color);
        let _ = writeln!(out, "\n{name}{}", interface.unwrap_or_default());
        let last =
            |ago: Option<u64>| ago.map_or(String::new(), |ago| format!(", the last {} ago", time(ago)));
        let _ = writeln!(out, "  in   {} frames{}", universe.frames_in, last(universe.last_in_ms));
        match &universe.destination {
            Some(to) => {
                let (frames, last) = (universe.frames_out, last(universe.last_out_ms));
                let _ = writeln!(out, "  out  {frames} frames to {}{last}", clean(to));
                // Where it is not a node, who they are.
                for peer in peers.iter().filter(|peer| to == DISCOVER && !peer.is_empty()) {
                    let _ = writeln!(out, "       node {}", clean(peer));
                }
            }
            None => out.push_str("  out  not sent\n"),
        }
        sources(out, &universe.sources, color);
    }
}

/// A line about each universe of an instance that is not received any more.
pub(super) fn losses(universes: &[UniverseStatus]) -> impl Iterator<Item = String> {
    universes.iter().filter(|universe| universe.is_lost).map(|universe| {
        let since = universe.last_in_ms.map(|ago| format!(" for {}", time(ago))).unwrap_or_default();
        format!("{} is lost: nothing received{since}", title(universe))
    })
}

fn title(universe: &UniverseStatus) -> String {
    match universe.net {
        Some(net) => format!("net {net}, universe {}", universe.universe),
        None => format!("universe {}", universe.universe),
    }
}

fn sources(out: &mut String, sources: &[SourceStatus], color: bool) {
    if sources.is_empty() {
        return;
    }
    let head = ["  SOURCE", "ADDRESS", "PRIORITY", "FRAMES/S", "STATE"].map(str::to_owned);
    let row = |source: &SourceStatus| {
        let name = source.name.as_deref().map_or_else(|| "-".to_owned(), |name| shortened(&clean(name)));
        let priority = source.priority.map_or_else(|| "-".to_owned(), |priority| priority.to_string());
        let (rate, state) = match source.is_lost {
            true => ("-".to_owned(), "lost"),
            false => (format!("{:.1}", source.frames_per_second), "sends"),
        };
        [format!("  {name}"), clean(&source.address), priority, rate, state.to_owned()]
    };
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(sources.iter().map(row)).collect();
    let mut table = String::new();
    aligned(&mut table, &rows);
    let (head, rest) = table.split_once('\n').unwrap_or((&table, ""));
    let _ = write!(out, "{}\n{rest}", dimmed(head, color));
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_WIDTH {
        return name.to_owned();
    }
    name.chars().take(NAME_WIDTH - 1).chain(['…']).collect()
}

fn time(millis: u64) -> String {
    match millis {
        0..1_000 => microseconds(millis as f64 * 1e3),
        _ => duration(millis / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wall() -> UniverseStatus {
        let desk = SourceStatus {
            name: Some("A lighting desk with a name that is far too \x1b long".into()),
            address: "192.168.100.101".into(),
            priority: Some(100),
            frames_per_second: 43.96,
            is_lost: false,
        };
        let backup = SourceStatus { name: None, priority: None, is_lost: true, ..desk.clone() };
        UniverseStatus {
            universe: 63_999,
            interface: Some("eth1".into()),
            destination: Some("239.255.249.255".into()),
            sources: vec![desk, backup],
            frames_in: 1_234_567,
            last_in_ms: Some(12),
            frames_out: 7,
            last_out_ms: Some(61_000),
            ..UniverseStatus::default()
        }
    }

    #[test]
    fn the_nodes_of_a_universe_that_is_discovered_are_listed() {
        let mut text = String::new();
        let universe = UniverseStatus { destination: Some("discover".into()), ..wall() };
        render(&mut text, &[universe], &["10.0.0.2:6454".into(), "10.0.0.3:6454".into()], false);
        assert!(text.contains("ago\n       node 10.0.0.2:6454\n       node 10.0.0.3:6454\n"), "{text}");
    }

    #[test]
    fn a_universe_has_its_sources_and_fits_into_80_columns() {
        let mut text = String::new();
        let silent = UniverseStatus { universe: 3, net: Some(1), is_lost: true, ..UniverseStatus::default() };
        render(&mut text, &[wall(), silent], &["239.255.249.255:5568".into()], false);
        insta::assert_snapshot!(text, @r"

        universe 63999 on eth1
          in   1234567 frames, the last 12ms ago
          out  7 frames to 239.255.249.255, the last 1m 1s ago
          SOURCE                            ADDRESS          PRIORITY  FRAMES/S  STATE
          A lighting desk with a name tha…  192.168.100.101  100       44.0      sends
          -                                 192.168.100.101  -         -         lost

        net 1, universe 3
          in   0 frames
          out  not sent
        ");
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_lost_universe_is_noted() {
        let lost = UniverseStatus { is_lost: true, last_in_ms: Some(12_500), ..wall() };
        let lines: Vec<String> = losses(&[wall(), lost]).collect();
        assert_eq!(lines, ["universe 63999 is lost: nothing received for 12s"]);
    }
}
