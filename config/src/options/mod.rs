//! Declarations of options and backends.
//!
//! Each option is declared once, as an [`OptionSpec`] in the table of its backend. Parsing, errors,
//! defaults and the tables of the README derive from it. The caller passes the tables to
//! [`load`](crate::load): this crate does not depend on a backend.

mod kinds;
mod values;

mod markdown;

pub use kinds::{InvalidValue, ValueKind, check_address, check_port};
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
    /// The whole name, or the beginning of all names of this kind.
    pub name: &'static str,
    /// The rest of the name where `name` is only its beginning (`CHANNEL` in `failsafe.CHANNEL`),
    /// else empty.
    pub placeholder: &'static str,
    /// Other names for the same option.
    pub aliases: &'static [&'static str],
    pub kind: ValueKind,
    /// As a user would write it, or empty.
    pub default: &'static str,
    /// Whether several settings add up; otherwise the last one counts.
    pub accumulates: bool,
    /// The meaning in one line.
    pub help: &'static str,
    pub scope: Scope,
}

impl OptionSpec {
    /// An option of the global section and of instances. `default` is empty where there is none.
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

    /// Restricts the option to the global section.
    pub const fn global_only(self) -> Self {
        Self { scope: Scope::Global, ..self }
    }

    /// Restricts the option to sections of instances.
    pub const fn instance_only(self) -> Self {
        Self { scope: Scope::Instance, ..self }
    }

    /// Lets several settings add up.
    pub const fn accumulating(self) -> Self {
        Self { accumulates: true, ..self }
    }

    /// Makes the name the beginning of all names that match.
    pub const fn followed_by(self, placeholder: &'static str) -> Self {
        Self { placeholder, ..self }
    }

    /// Adds other names for the option.
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

    /// The name that the model uses for `key`: that of the option where `key` is an alias.
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

/// A backend as the show file sees it.
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

/// The value of the option `name`: the last one in `settings`, else the default in the table, if
/// there is one.
pub fn value_of<'a>(table: &'static [OptionSpec], settings: &'a [Setting], name: &str) -> Option<&'a str> {
    let set = settings.iter().rfind(|setting| setting.key.value == name);
    let default = || table.iter().find(|spec| spec.name == name).map(|spec| spec.default);
    set.map(|setting| setting.value.value.as_str())
        .or_else(|| default().filter(|default| !default.is_empty()))
}
