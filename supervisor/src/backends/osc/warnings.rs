//! Warns of mapped channels that an instance can neither send nor receive.

use super::options::{OscDestination, OscOptions};
use super::paths::OscPaths;
use crate::show::LiveInstance;
use mm_config::{Diagnostics, Span};
use std::collections::BTreeMap;

/// Adds a warning for each reason why mapped channels do nothing.
pub fn check(live: &LiveInstance<'_>, options: &OscOptions, paths: &OscPaths, diagnostics: &mut Diagnostics) {
    // What seems to be missing may stand in a line that has an error.
    if diagnostics.has_errors() {
        return;
    }
    match (&options.bind, &options.destination) {
        // Said of the instance as a whole.
        (None, OscDestination::None | OscDestination::Learn { .. }) => {}
        (None, OscDestination::Fixed(_)) => warn_of_bind(live, diagnostics),
        (Some(_), OscDestination::None) => warn_of_destination(live, diagnostics),
        (Some(_), _) => {}
    }
    warn_of_patterns(live, paths, diagnostics);
}

fn warn_of_bind(live: &LiveInstance<'_>, diagnostics: &mut Diagnostics) {
    let name = &live.instance.name;
    let Some((_, channel)) = live.sources().next() else { return };
    let message = format!("instance `{name}` has no `bind`, so it receives only answers to what it sends");
    let warning = diagnostics.warning(channel.span, message).label("mapped as a source");
    warning.also(live.instance.span, "has no `bind`").hint(format!(
        "add a line such as `bind = * 8000` to `[osc {name}]`; \
         with `bind = * 0`, for answers alone, there is no warning"
    ));
}

fn warn_of_destination(live: &LiveInstance<'_>, diagnostics: &mut Diagnostics) {
    let name = &live.instance.name;
    let Some((_, channel)) = live.targets().next() else { return };
    let message = format!("instance `{name}` has no `destination`, so it sends nothing");
    let warning = diagnostics.warning(channel.span, message).label("mapped as a target");
    warning
        .also(live.instance.span, "has no `destination`")
        .hint(format!("add a line such as `destination = 127.0.0.1 9000` to `[osc {name}]`"));
}

/// Channels without a pattern, one warning for each name as it is written: it may hold a range.
fn warn_of_patterns(live: &LiveInstance<'_>, paths: &OscPaths, diagnostics: &mut Diagnostics) {
    let name = &live.instance.name;
    let mut found: BTreeMap<Span, (&str, String, usize)> = BTreeMap::new();
    for (id, channel) in live.targets() {
        let Some(line) = paths.missing_pattern(id) else { continue };
        found.entry(channel.span).or_insert((&channel.name, line, 0)).2 += 1;
    }
    for (span, (channel, line, count)) in found {
        let message = match count {
            1 => format!("`{name}.{channel}` is not sent: no pattern matches it"),
            _ => format!("`{name}.{channel}` and {} more are not sent: no pattern matches them", count - 1),
        };
        let warning = diagnostics.warning(span, message).label("no pattern");
        warning.hint(format!("add a line such as `{line}` to `[osc {name}]`"));
    }
}
