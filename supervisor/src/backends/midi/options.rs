//! The options of `[midi NAME]` and `[backend midi]`.

use mm_config::options::{BackendSpec, OptionSpec, ValueKind, switch, value_of};
use mm_config::{Instance, Section};

/// What a show file may say about `midi`.
pub const SPEC: BackendSpec = BackendSpec { name: "midi", options: OPTIONS, ignores_options: false };

static OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("name", ValueKind::Text, "mm-supervisor", "what the names of all its ports begin with")
        .global_only(),
    OptionSpec::new(
        "detect",
        ValueKind::Switch,
        "off",
        "log every message that arrives, as a channel to be mapped",
    )
    .global_only(),
    OptionSpec::new(
        "read",
        ValueKind::Text,
        "",
        "the device to receive from: what its name begins with, or its number as `client:port`",
    )
    .also_called(&["source"])
    .instance_only(),
    OptionSpec::new("write", ValueKind::Text, "", "the device to send to, named like that of `read`")
        .also_called(&["target"])
        .instance_only(),
    OptionSpec::new(
        "epn-tx",
        ValueKind::Word(&["short", "full"]),
        "full",
        "`full` deselects the parameter after each `rpn` and `nrpn` that is sent",
    )
    .instance_only(),
    OptionSpec::new(
        "rate",
        ValueKind::Count { least: 1, most: 16_000 },
        "1000",
        "messages sent per second, beyond a burst of 1000; a MIDI cable carries 1041",
    )
    .instance_only(),
];

/// The options of `[backend midi]`, which hold for all instances.
#[derive(Debug, Clone)]
pub struct MidiBackendOptions {
    /// What the names of ports begin with.
    pub name: String,
    /// Whether incoming messages are logged.
    pub detect: bool,
}

impl MidiBackendOptions {
    pub fn read(section: Option<&Section>) -> Self {
        let settings = section.map_or(&[][..], |section| &section.settings);
        Self {
            name: value_of(OPTIONS, settings, "name").unwrap_or_default().to_owned(),
            detect: value_of(OPTIONS, settings, "detect").is_some_and(|text| switch(text).unwrap_or(false)),
        }
    }
}

/// The options of `[midi NAME]`.
#[derive(Debug, Clone)]
pub struct MidiInstanceOptions {
    /// The device to receive from.
    pub read: Option<String>,
    /// The device to send to.
    pub write: Option<String>,
    /// Whether a parameter is deselected after it was set.
    pub deselect: bool,
    /// Messages per second that are sent when many wait.
    pub rate: u32,
}

impl MidiInstanceOptions {
    /// Of an option that is set twice, the last counts. The option tables have checked the values.
    pub fn read(instance: &Instance) -> Self {
        let text = |key| value_of(OPTIONS, &instance.settings, key);
        Self {
            read: text("read").map(str::to_owned),
            write: text("write").map(str::to_owned),
            deselect: text("epn-tx") != Some("short"),
            // the table has a default, and has checked the value
            rate: text("rate").and_then(|rate| rate.parse().ok()).unwrap_or(1),
        }
    }
}
