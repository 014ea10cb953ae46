//! The options of `[osc NAME]` and `[backend osc]`, read and checked.
//!
//! The names of hosts are not looked up here: `check` does so within a few seconds, and a show
//! while it runs.

use super::format::read_format;
use super::pattern::{OscAddressError, OscPattern, check_address};
use super::range::OscRange;
use crate::backends::udp::host;
use mm_config::options::{
    BackendSpec, InvalidValue, OptionSpec, ValueKind, check_address as check_host_and_port, check_port,
    switch, value_of,
};
use mm_config::{Diagnostics, Instance, Section, Setting, Span, Spanned};
use std::net::SocketAddr;
use std::sync::Arc;

/// The name and the options of the backend.
pub const SPEC: BackendSpec = BackendSpec { name: "osc", options: OPTIONS, ignores_options: false };

static OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("detect", ValueKind::Switch, "off", "log the path of every packet that arrives").global_only(),
    OptionSpec::new("bind", ValueKind::Address, "", "where to listen: `* 8000` or `:: 8000` for every address")
        .instance_only(),
    OptionSpec::new(
        "destination",
        DESTINATION,
        "",
        "where to send; `learn` answers the last sender, `learn@PORT` on a port of its own",
    )
    .also_called(&["dest"])
    .instance_only(),
    OptionSpec::new(
        "send",
        ValueKind::Word(&["changes", "all"]),
        "changes",
        "`all` sends a value also when it equals the last one sent, as triggers need it",
    )
    .instance_only(),
    OptionSpec::new("root", ROOT, "", "put in front of every path sent, required of every path received")
        .instance_only(),
    OptionSpec::new(
        "/",
        ValueKind::text("`FORMAT MIN MAX …`"),
        "",
        "types (`i`, `f`, `h`, `d`) and ranges of the parameters of all paths that match; the first match wins",
    )
    .followed_by("pattern")
    .accumulating()
    .instance_only(),
];

const DESTINATION: ValueKind =
    ValueKind::Custom { form: "`HOST PORT`, `learn` or `learn@PORT`", check: check_destination };

const ROOT: ValueKind = ValueKind::Custom {
    form: "`/prefix`",
    check: |text| match text.starts_with('/') {
        true => Ok(()),
        false => Err(InvalidValue::whole(text, "expected a path that begins with `/`")),
    },
};

fn check_destination(text: &str) -> Result<(), InvalidValue> {
    if text == "learn" {
        return Ok(());
    }
    if let Some(port) = text.strip_prefix("learn@") {
        let range = text.len() - port.len()..text.len();
        return check_port(port, 1).map_err(|message| InvalidValue { range, message, hint: None });
    }
    check_host_and_port(text, 1).map_err(|invalid| match invalid.range.start {
        0 => InvalidValue { message: "expected `HOST PORT`, `learn` or `learn@PORT`".into(), ..invalid },
        _ => invalid,
    })
}

/// The highest parameter that a channel can name. A format has at most one parameter more.
pub const MAX_PARAMETER: u32 = 1023;

/// The options of an instance.
#[derive(Debug)]
pub struct OscOptions {
    pub bind: Option<OscAddress>,
    pub destination: OscDestination,
    /// Whether values are sent that equal the last one sent.
    pub sends_all: bool,
    /// The beginning of all addresses on the wire; empty, or without a slash at its end.
    pub root: String,
    /// In the order of the show file. The first that matches a path applies to it.
    pub rules: Vec<OscRule>,
}

/// A `HOST PORT`.
#[derive(Debug, Clone)]
pub struct OscAddress {
    /// An IP address, a name, or `*`.
    pub host: String,
    pub port: u16,
    pub span: Span,
}

/// Where an address is written does not count.
impl PartialEq for OscAddress {
    fn eq(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}

impl OscAddress {
    /// The addresses, if they need no look-up.
    pub fn known(&self) -> Option<Vec<SocketAddr>> {
        let addresses = host::known_addresses(&self.host)?;
        Some(addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect())
    }
}

/// Where an instance sends to.
#[derive(Debug, Clone, PartialEq)]
pub enum OscDestination {
    None,
    Fixed(OscAddress),
    /// The sender of the last packet, at this port or at the one that it sent from.
    Learn {
        port: Option<u16>,
    },
}

/// `/pattern = FORMAT MIN MAX …`
#[derive(Debug)]
pub struct OscRule {
    pub pattern: OscPattern,
    pub ranges: Arc<[OscRange]>,
    /// `FORMAT MIN MAX …` as it is written.
    pub format: String,
    /// Where the pattern is written.
    pub span: Span,
}

/// Whether the global section switches `detect` on.
pub fn detect(section: Option<&Section>) -> bool {
    let settings = section.map_or(&[][..], |section| &section.settings);
    value_of(OPTIONS, settings, "detect").is_some_and(|text| switch(text).unwrap_or(false))
}

impl OscOptions {
    /// Reads the settings of an instance. Of an option that is set twice the last one counts;
    /// patterns add up.
    pub fn read(instance: &Instance, diagnostics: &mut Diagnostics) -> Self {
        let settings = &instance.settings;
        let bind = last(settings, "bind").and_then(|setting| read_address(setting, diagnostics));
        let destination = last(settings, "destination");
        let root = last(settings, "root");
        let patterns = settings.iter().filter(|setting| setting.key.value.starts_with('/'));
        let options = Self {
            bind,
            destination: destination.map_or(OscDestination::None, |to| read_destination(to, diagnostics)),
            sends_all: last(settings, "send").is_some_and(|setting| setting.value.value == "all"),
            root: root.map_or_else(String::new, |root| read_root(root, diagnostics)),
            rules: patterns.filter_map(|setting| read_rule(setting, diagnostics)).collect(),
        };
        // The missing option may stand in a line that has an error already.
        if last(settings, "bind").is_none() && !diagnostics.has_errors() {
            warn_of_silence(instance, destination, diagnostics);
        }
        options
    }
}

fn last<'a>(settings: &'a [Setting], key: &str) -> Option<&'a Setting> {
    settings.iter().rfind(|setting| setting.key.value == key)
}

/// Warns of an instance without `bind` that can neither receive nor send.
fn warn_of_silence(instance: &Instance, destination: Option<&Setting>, diagnostics: &mut Diagnostics) {
    let name = &instance.name;
    match destination {
        None => {
            let message = format!("instance `{name}` has neither `bind` nor `destination`");
            let warning = diagnostics.warning(instance.span, message).label("receives and sends nothing");
            warning.hint("`bind = * 8000` listens on port 8000");
        }
        Some(setting) if setting.value.value.starts_with("learn") => {
            let message = format!("instance `{name}` has no `bind`, so no peer can reach it to be learned");
            let warning = diagnostics.warning(setting.value.span, message).label("sends nothing");
            warning.hint("`bind = * 8000` listens on port 8000");
        }
        Some(_) => {}
    }
}

fn read_address(setting: &Setting, diagnostics: &mut Diagnostics) -> Option<OscAddress> {
    let mut words = setting.value.value.split_whitespace();
    let address = (words.next(), words.next().and_then(|port| port.parse().ok()), words.next());
    if let (Some(host), Some(port), None) = address {
        if host != "*"
            && let Some(expected) = host::mistake(host)
        {
            let message = format!("`{host}` is neither an IP address nor a host name");
            diagnostics.error(setting.value.span.slice(0..host.len()), message).label(expected);
        }
        return Some(OscAddress { host: host.to_string(), port, span: setting.value.span });
    }
    let key = &setting.key.value;
    diagnostics.error(setting.value.span, format!("`{key}` is not an address")).label("expected `HOST PORT`");
    None
}

fn read_destination(setting: &Setting, diagnostics: &mut Diagnostics) -> OscDestination {
    let text = setting.value.value.as_str();
    if text == "learn" {
        return OscDestination::Learn { port: None };
    }
    if let Some(port) = text.strip_prefix("learn@").and_then(|port| port.parse().ok()) {
        return OscDestination::Learn { port: Some(port) };
    }
    let address = read_address(setting, diagnostics);
    if address.as_ref().is_some_and(|address| address.host == "*") {
        let error = diagnostics.error(setting.value.span.slice(0..1), "`*` is not a host to send to");
        error.hint("name a host or its broadcast address, or write `learn` to answer the last sender");
    }
    address.map_or(OscDestination::None, OscDestination::Fixed)
}

/// Reads a root without the slash at its end: the paths of the channels begin with one.
fn read_root(setting: &Setting, diagnostics: &mut Diagnostics) -> String {
    let text = setting.value.value.as_str();
    if let Err(error) = check_address(text) {
        report(error, &setting.value, "root", diagnostics);
    }
    text.trim_end_matches('/').to_string()
}

fn report(error: OscAddressError, text: &Spanned<String>, what: &str, diagnostics: &mut Diagnostics) {
    let message = format!("`{}` is not an OSC {what}", text.value);
    diagnostics.error(text.span.slice(error.range), message).label(error.message);
}

fn read_rule(setting: &Setting, diagnostics: &mut Diagnostics) -> Option<OscRule> {
    let pattern = match OscPattern::parse(&setting.key.value) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            report(error, &setting.key, "pattern", diagnostics);
            None
        }
    };
    let ranges = read_format(&setting.value, diagnostics)?;
    let format = setting.value.value.clone();
    Some(OscRule { pattern: pattern?, ranges: ranges.into(), format, span: setting.key.span })
}

#[cfg(test)]
pub(super) mod tests;
