//! What an option is, and what a backend is for the show file.
//!
//! Each option is declared once, as an [`OptionSpec`] in a table of its backend. Parsing, errors, defaults and the
//! README's tables derive from there. The tables are handed to [`load`](crate::load): this crate knows no backend.

mod kinds;
mod values;

mod markdown;

pub use kinds::{Invalid, ValueKind, check_address, check_port};
pub use markdown::{backend_markdown, options_markdown};
pub use values::{duration, fraction, size, switch};

use crate::model::Setting;

/// Where an option may stand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the global section only: `[backend NAME]`, or `[supervisor]`.
    Global,
    /// In an instance's section only.
    Instance,
    /// In an instance's section and, as a default for all, in the global one.
    Both,
}

/// One option.
#[derive(Copy, Clone, Debug)]
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
    /// An option of both the global and the instances' sections; `default` is empty where there is none.
    pub const fn new(name: &'static str, kind: ValueKind, default: &'static str, help: &'static str) -> Self {
        Self {
            name,
            placeholder: "",
            aliases: &[],
            kind,
            default,
            accumulates: false,
            help,
            scope: Scope::Both,
        }
    }

    /// The same for the global section only.
    pub const fn global_only(self) -> Self {
        Self { scope: Scope::Global, ..self }
    }

    /// The same for an instance's section only.
    pub const fn instance_only(self) -> Self {
        Self { scope: Scope::Instance, ..self }
    }

    /// The same, where several lines add up.
    pub const fn accumulating(self) -> Self {
        Self { accumulates: true, ..self }
    }

    /// The same, where the name is only the beginning of the names that match.
    pub const fn followed_by(self, placeholder: &'static str) -> Self {
        Self { placeholder, ..self }
    }

    /// The same with other names.
    pub const fn also_called(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

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

/// What a show file may say about a backend.
#[derive(Copy, Clone, Debug)]
pub struct BackendSpec {
    /// The backend's name in section headers.
    pub name: &'static str,
    /// The options of its global section and of its instances' sections.
    pub options: &'static [OptionSpec],
    /// Whether it accepts and ignores any option that is not in the table.
    pub ignores_options: bool,
}

impl BackendSpec {
    /// The options of `[backend NAME]`.
    pub fn global_options(&self) -> impl Iterator<Item = &'static OptionSpec> + use<> {
        self.options.iter().filter(|spec| spec.stands_in(Scope::Global))
    }

    /// The options of `[NAME INSTANCE]`.
    pub fn instance_options(&self) -> impl Iterator<Item = &'static OptionSpec> + use<> {
        self.options.iter().filter(|spec| spec.stands_in(Scope::Instance))
    }
}

/// The value of the option `name`: the last that `settings` set, else the default of its table, if it has one.
pub fn value_of<'a>(table: &'static [OptionSpec], settings: &'a [Setting], name: &str) -> Option<&'a str> {
    let set = settings.iter().rfind(|setting| setting.key.value == name);
    let default = || table.iter().find(|spec| spec.name == name).map(|spec| spec.default);
    set.map(|setting| setting.value.value.as_str())
        .or_else(|| default().filter(|default| !default.is_empty()))
}
