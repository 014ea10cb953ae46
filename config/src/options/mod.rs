//! Every option of every section, declared once: parsing, errors and the
//! README's tables derive from here.

mod tables;

mod kinds;
mod values;

mod markdown;

pub use kinds::{Invalid, ValueKind};
pub use markdown::{markdown, supervisor_markdown};
pub use values::{duration, size, switch};
pub(crate) use values::{fraction, priority, rate};

use crate::model::Kind;

/// Where an option may stand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the global section only: `[backend KIND]`, or `[supervisor]`.
    Global,
    /// In an instance's section only.
    Instance,
    /// In an instance's section and, as a default for all, in the global one.
    Both,
}

/// One option.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct OptionSpec {
    /// The whole name, or what all names of this kind begin with.
    pub name: &'static str,
    /// What follows the name where it is only a beginning (`failsafe.CHANNEL`), else empty.
    pub placeholder: &'static str,
    /// Other names for the same option.
    pub aliases: &'static [&'static str],
    pub kind: ValueKind,
    /// As a user would write it, or empty.
    pub default: &'static str,
    /// Set twice: adds up instead of the last one winning.
    pub accumulates: bool,
    /// One line for a user.
    pub help: &'static str,
    pub scope: Scope,
}

impl OptionSpec {
    /// Whether `key` names this option.
    pub fn matches(&self, key: &str) -> bool {
        if self.placeholder.is_empty() {
            return key == self.name || self.aliases.contains(&key);
        }
        key.len() > self.name.len() && key.starts_with(self.name)
    }

    /// The name that the model uses for `key`: the option's own where `key` is an alias.
    pub(crate) fn canonical<'a>(&self, key: &'a str) -> &'a str {
        if self.placeholder.is_empty() { self.name } else { key }
    }

    /// The name with its placeholder, as documentation shows it.
    pub fn title(&self) -> String {
        format!("{}{}", self.name, self.placeholder)
    }

    fn stands_in(&self, scope: Scope) -> bool {
        self.scope == scope || self.scope == Scope::Both
    }
}

/// The options of `[backend KIND]`.
pub fn backend_options(kind: Kind) -> impl Iterator<Item = &'static OptionSpec> {
    table(kind).iter().filter(|spec| spec.stands_in(Scope::Global))
}

/// The options of `[KIND NAME]`.
pub fn instance_options(kind: Kind) -> impl Iterator<Item = &'static OptionSpec> {
    table(kind).iter().filter(|spec| spec.stands_in(Scope::Instance))
}

/// The options of `[supervisor]`.
pub fn supervisor_options() -> impl Iterator<Item = &'static OptionSpec> {
    tables::SUPERVISOR.iter()
}

/// Whether a backend takes any option and ignores it.
pub fn ignores_options(kind: Kind) -> bool {
    kind == Kind::Loopback
}

/// All options of a backend, whatever section they stand in.
pub(crate) fn table(kind: Kind) -> &'static [OptionSpec] {
    match kind {
        Kind::Loopback => &[],
        Kind::Midi => tables::MIDI,
        Kind::Osc => tables::OSC,
        Kind::Python => tables::PYTHON,
    }
}
