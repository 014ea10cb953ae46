//! Backends for these tests, with names and options like those of the program.

use mm_config::options::{BackendSpec, InvalidValue, OptionSpec, ValueKind};

const PREFIX: ValueKind = ValueKind::Custom {
    form: "`/prefix`",
    check: |text| match text.starts_with('/') {
        true => Ok(()),
        false => Err(InvalidValue::whole(text, "expected a path that begins with `/`")),
    },
};

const TIMEOUT: ValueKind = ValueKind::Duration { least: std::time::Duration::from_millis(1), off: true };

static OSC: &[OptionSpec] = &[
    OptionSpec::new("detect", ValueKind::Switch, "off", "log what arrives").global_only(),
    OptionSpec::new("bind", ValueKind::Address, "", "where to listen").instance_only(),
    OptionSpec::new("destination", ValueKind::Text, "", "where to send")
        .also_called(&["dest"])
        .instance_only(),
    OptionSpec::new("root", PREFIX, "", "put in front of every path").instance_only(),
    OptionSpec::new("/", ValueKind::text("`FORMAT MIN MAX …`"), "", "types and ranges")
        .followed_by("pattern")
        .accumulating()
        .instance_only(),
];

static PYTHON: &[OptionSpec] = &[
    OptionSpec::new("module", ValueKind::text("module"), "", "a module to import")
        .accumulating()
        .instance_only(),
    OptionSpec::new("venv", ValueKind::Path, "", "a virtual environment").instance_only(),
    OptionSpec::new("watchdog", TIMEOUT, "5s", "no progress for this long"),
];

/// The backends that these tests pass to `load`.
pub static BACKENDS: &[BackendSpec] = &[
    BackendSpec { name: "loopback", options: &[], ignores_options: true },
    BackendSpec { name: "midi", options: &[], ignores_options: false },
    BackendSpec { name: "osc", options: OSC, ignores_options: false },
    BackendSpec { name: "python", options: PYTHON, ignores_options: false },
];
