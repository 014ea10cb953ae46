//! The options of `[sacn NAME]` and `[backend sacn]`, read and checked.

use super::cid;
use super::codec::layout::SOURCE_NAME_SIZE;
use super::codec::{PRIORITY_LIMIT, SacnCid, UNIVERSE_LIMIT};
use crate::backends::dmx::destination::DestinationSpec;
use crate::backends::dmx::net::{BindHost, BindIndex, BindSpec};
use crate::backends::dmx::{InputLoss, OutputOptions};
use mm_config::options::{BackendSpec, InvalidValue, OptionSpec, ValueKind, duration, switch, value_of};
use mm_config::{Diagnostics, Instance, Section, Setting, Span};
use std::time::Duration;

/// `ACN_SDT_MULTICAST_PORT`
pub const PORT: u16 = 5568;

/// The name and the options of the backend.
pub const SPEC: BackendSpec = BackendSpec { name: "sacn", options: OPTIONS, ignores_options: false };

static OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        "bind",
        ValueKind::Custom { form: "`HOST [PORT] [local]`", check: check_bind },
        "* 5568",
        "an interface, by its address or its name, or `*` for all; they are numbered from 0",
    )
    .accumulating()
    .global_only(),
    OptionSpec::new(
        "name",
        ValueKind::Custom { form: "text of at most 63 bytes", check: check_name },
        "mm-supervisor",
        "what other devices show as the name of this source",
    )
    .global_only(),
    OptionSpec::new(
        "cid",
        ValueKind::Custom { form: "16 bytes, or a UUID", check: check_cid },
        "",
        "what other devices know this source by; without it the show has one of its own, which stays",
    )
    .global_only(),
    OptionSpec::new(
        "detect",
        ValueKind::Word(&["off", "on", "verbose"]),
        "off",
        "`on` logs levels that arrive as channels to be mapped, and sources; `verbose` also what is not used",
    )
    .global_only(),
    OptionSpec::new(
        "universe",
        ValueKind::Count { least: 1, most: UNIVERSE_LIMIT as u64 },
        "",
        "the universe to receive, and with `priority` to send; required",
    )
    .instance_only(),
    OptionSpec::new(
        "interface",
        ValueKind::Count { least: 0, most: 4095 },
        "0",
        "the number of the `bind` to use",
    )
    .instance_only(),
    OptionSpec::new(
        "priority",
        ValueKind::Count { least: 0, most: PRIORITY_LIMIT as u64 },
        "",
        "the priority to send with, 100 as a rule; without it nothing is sent",
    )
    .instance_only(),
    OptionSpec::new(
        "destination",
        ValueKind::Custom { form: "`HOST [PORT]`", check: check_destination },
        "",
        "the only host to send to, in place of the universe's multicast group",
    )
    .instance_only(),
    OptionSpec::new(
        "from",
        ValueKind::Custom { form: "16 bytes, or a UUID", check: check_cid },
        "",
        "the CID of the only source to receive",
    )
    .instance_only(),
    OptionSpec::new("unicast", ValueKind::Switch, "off", "receives without the universe's multicast group")
        .instance_only(),
    OptionSpec::new(
        "realtime",
        ValueKind::Switch,
        "off",
        "sends each change at once, also more than 44 per second",
    )
    .instance_only(),
    OptionSpec::new(
        "hold",
        ValueKind::Duration { least: Duration::ZERO, off: true },
        "off",
        "how long a level stays at least before the next one of its slot goes out, one frame or more",
    )
    .instance_only(),
    OptionSpec::new(
        "input-loss",
        ValueKind::Word(&["hold", "zero"]),
        "hold",
        "what channels do when their universe is not received for 2.5 s",
    )
    .instance_only(),
    OptionSpec::new(
        "source-settle",
        ValueKind::Duration { least: Duration::ZERO, off: true },
        "off",
        "how long the levels of a new source wait for priorities of its slots; receivers of ETC wait 1.5s",
    )
    .instance_only(),
];

fn check_bind(text: &str) -> Result<(), InvalidValue> {
    let (_, rest) = BindSpec::parse(text, PORT)?;
    match rest.into_iter().find(|word| *word != "local") {
        None => Ok(()),
        Some(word) => {
            let start = word.as_ptr().addr() - text.as_ptr().addr();
            let message = "expected `HOST [PORT] [local]`".into();
            Err(InvalidValue { range: start..start + word.len(), message, hint: None })
        }
    }
}

fn check_name(text: &str) -> Result<(), InvalidValue> {
    if text.len() < SOURCE_NAME_SIZE {
        return Ok(());
    }
    let message = format!("expected at most {} bytes, not {}", SOURCE_NAME_SIZE - 1, text.len());
    Err(InvalidValue::whole(text, message))
}

fn check_cid(text: &str) -> Result<(), InvalidValue> {
    cid::parse(text).map(drop)
}

fn check_destination(text: &str) -> Result<(), InvalidValue> {
    DestinationSpec::parse(text, PORT).map(drop)
}

/// What `detect` logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SacnDetect {
    #[default]
    Off,
    On,
    Verbose,
}

/// The options of `[backend sacn]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SacnBackendOptions {
    /// At least one.
    pub binds: Vec<BindSpec>,
    pub name: String,
    pub cid: Option<SacnCid>,
    pub detect: SacnDetect,
}

impl SacnBackendOptions {
    /// The option tables have checked the values.
    pub fn read(section: Option<&Section>) -> Self {
        let settings = section.map_or(&[][..], |section| &section.settings);
        let text = |key| value_of(OPTIONS, settings, key);
        let bind_settings = settings.iter().filter(|setting| setting.key.value == "bind");
        let parse = |setting: &Setting| Some(BindSpec::parse(&setting.value.value, PORT).ok()?.0);
        let mut binds: Vec<_> = bind_settings.filter_map(parse).collect();
        if binds.is_empty() {
            binds.push(BindSpec { host: BindHost::Any, port: PORT });
        }
        Self {
            binds,
            name: text("name").unwrap_or_default().to_owned(),
            cid: text("cid").and_then(|cid| cid::parse(cid).ok()),
            detect: match text("detect") {
                Some("on") => SacnDetect::On,
                Some("verbose") => SacnDetect::Verbose,
                _ => SacnDetect::Off,
            },
        }
    }
}

/// The options of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SacnInstanceOptions {
    pub universe: u16,
    pub interface: BindIndex,
    /// `Some`: it sends.
    pub priority: Option<u8>,
    /// `None`: the multicast group.
    pub destination: Option<DestinationSpec>,
    pub from: Option<SacnCid>,
    pub is_unicast: bool,
    pub output: OutputOptions,
    pub loss: InputLoss,
    pub settle: Duration,
}

impl SacnInstanceOptions {
    /// Reads the settings of an instance, which can use `bind_count` binds. Of an option that is
    /// set twice the last one counts. `None`: the universe is missing.
    pub fn read(instance: &Instance, bind_count: usize, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = |key| value_of(OPTIONS, &instance.settings, key);
        let is_on = |key| text(key).is_some_and(|text| switch(text).unwrap_or(false));
        // `off` is not a duration.
        let time = |key| text(key).and_then(|text| duration(text).ok());
        let interface = text("interface").and_then(|text| text.parse().ok()).unwrap_or(0);
        if interface >= bind_count {
            report_interface(instance, interface, bind_count, diagnostics);
        }
        let universe = text("universe").and_then(|text| text.parse().ok());
        let priority = text("priority").and_then(|text| text.parse().ok());
        let destination = text("destination").and_then(|text| DestinationSpec::parse(text, PORT).ok());
        if universe.is_none() && !is_mentioned(instance, "universe") {
            let message = format!("instance `{}` has no `universe`", instance.name);
            let error = diagnostics.error(instance.span, message).label("receives and sends nothing");
            error.hint("write `universe = N`, with N from 1 to 63999");
        }
        if let Some(span) = setting(instance, "destination")
            && !is_mentioned(instance, "priority")
        {
            let message = format!("instance `{}` has a `destination` but no `priority`", instance.name);
            let warning = diagnostics.warning(span, message).label("nothing is sent there");
            warning.hint("`priority = 100` enables the output");
        }
        Some(Self {
            universe: universe?,
            interface: BindIndex(interface),
            priority,
            destination,
            from: text("from").and_then(|cid| cid::parse(cid).ok()),
            is_unicast: is_on("unicast"),
            output: OutputOptions { is_realtime: is_on("realtime"), hold: time("hold") },
            loss: if text("input-loss") == Some("zero") { InputLoss::Zero } else { InputLoss::Hold },
            settle: time("source-settle").unwrap_or(Duration::ZERO),
        })
    }
}

impl SacnInstanceOptions {
    /// The only host that it sends to. `None`: the multicast group, or it does not send.
    pub fn effective_destination(&self) -> Option<&DestinationSpec> {
        self.destination.as_ref().filter(|_| self.priority.is_some())
    }

    /// How its levels are set. Where nothing is sent, no level waits for a frame.
    pub fn effective_output(&self) -> OutputOptions {
        let hold = self.output.hold.filter(|_| self.priority.is_some());
        OutputOptions { hold, ..self.output }
    }
}

/// Where an option of an instance is set.
pub fn setting(instance: &Instance, key: &str) -> Option<Span> {
    let found = instance.settings.iter().rfind(|setting| setting.key.value == key);
    found.map(|setting| setting.value.span)
}

/// Whether the show file sets an option of an instance, also to a value that was reported as an error.
pub fn is_mentioned(instance: &Instance, key: &str) -> bool {
    setting(instance, key).is_some() || instance.rejected.contains(&key)
}

fn report_interface(instance: &Instance, interface: usize, count: usize, diagnostics: &mut Diagnostics) {
    let Some(span) = setting(instance, "interface") else { return };
    let message = format!("there is no `bind` with the number {interface}");
    let label = match count {
        1 => "there is one, with the number 0".to_owned(),
        _ => format!("there are {count}, with the numbers 0 to {}", count - 1),
    };
    let error = diagnostics.error(span, message).label(label);
    error.hint("the first `bind` in `[backend sacn]` has the number 0");
}

#[cfg(test)]
mod tests;
