//! The options of `[artnet NAME]` and `[backend artnet]`, read and checked.

use super::codec::{ARTNET_PORT, PortAddress};
use super::merger::SOURCE_TIMEOUT;
use crate::backends::dmx::destination::DestinationSpec;
use crate::backends::dmx::net::{BindHost, BindIndex, BindSpec};
use crate::backends::dmx::{InputLoss, OutputOptions};
use crate::backends::{AddressUse, NeededAddress};
use crate::show::LiveInstance;
use mm_config::options::{BackendSpec, InvalidValue, OptionSpec, ValueKind, duration, switch, value_of};
use mm_config::{Diagnostics, Instance, Section, Setting, Span};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The name and the options of the backend.
pub const SPEC: BackendSpec = BackendSpec { name: "artnet", options: OPTIONS, ignores_options: false };

static OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        "bind",
        ValueKind::Custom { form: "`HOST [PORT] [announce=ADDRESS]`", check: check_bind },
        "* 6454",
        "an interface, by its address or its name, or `*` for all; they are numbered from 0; `announce` is the \
         address that nodes are told to send to",
    )
    .accumulating()
    .global_only(),
    OptionSpec::new(
        "detect",
        ValueKind::Word(&["off", "on", "verbose"]),
        "off",
        "`on` logs levels that change as channels to be mapped; `verbose` also universes that no instance has",
    )
    .global_only(),
    OptionSpec::new(
        "net",
        ValueKind::Count { least: 0, most: 127 },
        "0",
        "the upper 7 bits of the universe's number",
    ),
    OptionSpec::new(
        "universe",
        ValueKind::Custom { form: "number", check: check_universe },
        "0",
        "the lower 8 bits of the universe's number: sub-net and universe in one",
    )
    .also_called(&["uni"])
    .instance_only(),
    OptionSpec::new(
        "destination",
        ValueKind::Custom { form: "`HOST [PORT]` or `discover`", check: check_destination },
        "",
        "where to send, without it nothing is sent; `discover` asks which nodes have the universe, and sends to each",
    )
    .also_called(&["dest"])
    .instance_only(),
    OptionSpec::new(
        "interface",
        ValueKind::Count { least: 0, most: 254 },
        "0",
        "the number of the `bind` to use",
    )
    .also_called(&["iface"])
    .instance_only(),
    OptionSpec::new("realtime", ValueKind::Switch, "off", "sends each change at once, also more than 44 per second")
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
        "source-timeout",
        ValueKind::Duration { least: Duration::from_millis(100), off: false },
        "10s",
        "how long the levels of a source that has stopped stay merged with those of another one",
    )
    .instance_only(),
];

/// The word that begins the address to announce.
const ANNOUNCE: &str = "announce=";

fn check_bind(text: &str) -> Result<(), InvalidValue> {
    read_bind(text).map(drop)
}

/// Reads `HOST [PORT] [announce=ADDRESS]`.
fn read_bind(text: &str) -> Result<ArtnetBind, InvalidValue> {
    let (spec, rest) = BindSpec::parse(text, ARTNET_PORT)?;
    let invalid = |word: &str, message: &str| {
        let start = word.as_ptr().addr() - text.as_ptr().addr();
        InvalidValue { range: start..start + word.len(), message: message.to_owned(), hint: None }
    };
    let mut announce = None;
    for word in rest {
        let Some(address) = word.strip_prefix(ANNOUNCE) else {
            return Err(invalid(word, "expected `HOST [PORT] [announce=ADDRESS]`"));
        };
        let parsed = address.parse().ok().filter(|address: &Ipv4Addr| !address.is_unspecified());
        announce = Some(parsed.ok_or_else(|| invalid(address, "expected an IPv4 address of this machine"))?);
    }
    Ok(ArtnetBind { spec, announce })
}

fn check_universe(text: &str) -> Result<(), InvalidValue> {
    match text.parse::<u32>() {
        Ok(0..=255) => Ok(()),
        Ok(number @ 256..=0x7FFF) => {
            let hint =
                format!("universe {number} is `net = {}` and `universe = {}`", number >> 8, number & 0xFF);
            let message = "expected a whole number from 0 to 255".into();
            Err(InvalidValue { range: 0..text.len(), message, hint: Some(hint) })
        }
        _ => Err(InvalidValue::whole(text, "expected a whole number from 0 to 255")),
    }
}

fn check_destination(text: &str) -> Result<(), InvalidValue> {
    read_destination(text).map(drop)
}

fn read_destination(text: &str) -> Result<ArtnetDestination, InvalidValue> {
    match text {
        "discover" => Ok(ArtnetDestination::Discover),
        _ => DestinationSpec::parse(text, ARTNET_PORT).map(ArtnetDestination::Host),
    }
}

/// A `bind` of the show file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtnetBind {
    pub spec: BindSpec,
    /// The address to name in ArtPollReply; `None`: that of the interface.
    pub announce: Option<Ipv4Addr>,
}

/// Where an instance sends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArtnetDestination {
    /// A node, or the broadcast address of a network.
    Host(DestinationSpec),
    /// All nodes that have the universe.
    Discover,
}

/// What `detect` logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ArtnetDetect {
    #[default]
    Off,
    On,
    Verbose,
}

/// The options of `[backend artnet]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtnetBackendOptions {
    /// At least one.
    pub binds: Vec<ArtnetBind>,
    pub net: u8,
    pub detect: ArtnetDetect,
}

impl ArtnetBackendOptions {
    /// The option tables have checked the values.
    pub fn read(section: Option<&Section>) -> Self {
        let settings = section.map_or(&[][..], |section| &section.settings);
        let text = |key| value_of(OPTIONS, settings, key);
        let of_bind = settings.iter().filter(|setting| setting.key.value == "bind");
        let mut binds: Vec<_> = of_bind.filter_map(|bind| read_bind(&bind.value.value).ok()).collect();
        if binds.is_empty() {
            let spec = BindSpec { host: BindHost::Any, port: ARTNET_PORT };
            binds.push(ArtnetBind { spec, announce: None });
        }
        Self {
            binds,
            net: text("net").and_then(|net| net.parse().ok()).unwrap_or(0),
            detect: match text("detect") {
                Some("on") => ArtnetDetect::On,
                Some("verbose") => ArtnetDetect::Verbose,
                _ => ArtnetDetect::Off,
            },
        }
    }
}

/// The options of `[artnet NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtnetInstanceOptions {
    pub bind: BindIndex,
    pub address: PortAddress,
    /// `Some`: it sends.
    pub destination: Option<ArtnetDestination>,
    pub output: OutputOptions,
    pub loss: InputLoss,
    pub source_timeout: Duration,
}

impl ArtnetInstanceOptions {
    /// Reads the settings of an instance. Of an option that is set twice the last one counts.
    pub fn read(
        live: &LiveInstance<'_>,
        common: &ArtnetBackendOptions,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let instance = live.instance;
        let text = |key| value_of(OPTIONS, &instance.settings, key);
        // `off` is not a duration.
        let time = |key| text(key).and_then(|text| duration(text).ok());
        let number = |key: &str| setting(instance, key).and_then(|setting| setting.value.value.parse().ok());
        let bind = text("interface").and_then(|text| text.parse().ok()).unwrap_or(0);
        if bind >= common.binds.len() {
            report_interface(instance, bind, common.binds.len(), diagnostics);
        }
        // The missing option may stand in a line that has an error.
        if text("destination").is_none() && !diagnostics.has_errors() {
            warn_without_destination(live, diagnostics);
        }
        let address = PortAddress::new(number("net").unwrap_or(common.net), number("universe").unwrap_or(0));
        Self {
            bind: BindIndex(bind),
            address: address.unwrap_or(PortAddress::FIRST),
            destination: text("destination").and_then(|text| read_destination(text).ok()),
            output: OutputOptions {
                is_realtime: text("realtime").is_some_and(|text| switch(text).unwrap_or(false)),
                hold: time("hold"),
            },
            loss: if text("input-loss") == Some("zero") { InputLoss::Zero } else { InputLoss::Hold },
            source_timeout: time("source-timeout").unwrap_or(SOURCE_TIMEOUT),
        }
    }

    /// Whether both send the same universe to the same place, as far as that is known without looking
    /// up names.
    pub fn collides(&self, other: &Self) -> bool {
        let is_same_place = match (&self.destination, &other.destination) {
            (Some(ArtnetDestination::Discover), Some(ArtnetDestination::Discover)) => self.bind == other.bind,
            (Some(ArtnetDestination::Host(one)), Some(ArtnetDestination::Host(two))) => one == two,
            _ => false,
        };
        is_same_place && self.address == other.address
    }
}

/// A setting of an instance, the last one where there are several.
fn setting<'a>(instance: &'a Instance, key: &str) -> Option<&'a Setting> {
    instance.settings.iter().rfind(|setting| setting.key.value == key)
}

/// The addresses that the options name: of this machine in `bind`, of others in `destination`.
pub fn needed_addresses(section: Option<&Section>, instances: &[LiveInstance<'_>]) -> Vec<NeededAddress> {
    let settings = section.map_or(&[][..], |section| &section.settings);
    let of_bind = settings.iter().filter(|setting| setting.key.value == "bind");
    let of_destination = instances.iter().filter_map(|live| setting(live.instance, "destination"));
    let first_word = |usage| {
        move |setting: &Setting| {
            let host = setting.value.value.split_whitespace().next()?;
            let span = setting.value.span.slice(0..host.len());
            let is_address = !matches!(host, "*" | "::" | "0.0.0.0" | "discover");
            is_address.then(|| NeededAddress { host: host.to_owned(), span, usage })
        }
    };
    let own = of_bind.filter_map(first_word(AddressUse::Own));
    own.chain(of_destination.filter_map(first_word(AddressUse::Peer))).collect()
}

/// Warns of an instance whose channels are mapped to be sent, and which sends nothing.
fn warn_without_destination(live: &LiveInstance<'_>, diagnostics: &mut Diagnostics) {
    let name = &live.instance.name;
    let Some((_, channel)) = live.targets().next() else { return };
    let message = format!("instance `{name}` has no `destination`, so it sends nothing");
    let warning = diagnostics.warning(channel.span, message).label("mapped as a target");
    warning.also(live.instance.span, "has no `destination`").hint(format!(
        "add `destination = HOST`, or `destination = discover` for all nodes that have the universe, to `[artnet {name}]`"
    ));
}

/// Where the destination of an instance is set, or else the instance.
pub fn destination_span(instance: &Instance) -> Span {
    setting(instance, "destination").map_or(instance.span, |setting| setting.value.span)
}

fn report_interface(instance: &Instance, bind: usize, count: usize, diagnostics: &mut Diagnostics) {
    let Some(setting) = setting(instance, "interface") else { return };
    let message = format!("there is no `bind` with the number {bind}");
    let label = match count {
        1 => "there is one, with the number 0".to_owned(),
        _ => format!("there are {count}, with the numbers 0 to {}", count - 1),
    };
    let error = diagnostics.error(setting.value.span, message).label(label);
    error.hint("the first `bind` in `[backend artnet]` has the number 0");
}

#[cfg(test)]
mod tests;
