//! The options of `[midi NAME]` and `[backend midi]`.

use mm_config::options::switch;
use mm_config::{Instance, Section, Setting};

/// What the names of ports begin with by default.
const DEFAULT_NAME: &str = "mm-supervisor";
/// Messages per second.
const DEFAULT_RATE: u32 = 1000;

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
            name: last(settings, "name").unwrap_or(DEFAULT_NAME).to_owned(),
            detect: last(settings, "detect").is_some_and(|text| switch(text).unwrap_or(false)),
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
        let text = |key| last(&instance.settings, key);
        Self {
            read: text("read").map(str::to_owned),
            write: text("write").map(str::to_owned),
            deselect: text("epn-tx") != Some("short"),
            rate: text("rate").and_then(|rate| rate.parse().ok()).unwrap_or(DEFAULT_RATE),
        }
    }
}

fn last<'a>(settings: &'a [Setting], key: &str) -> Option<&'a str> {
    let setting = settings.iter().rfind(|setting| setting.key.value == key)?;
    Some(&setting.value.value)
}
