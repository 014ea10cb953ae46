//! Renders option tables as Markdown, for the README.

use std::fmt::Write;

use super::{BackendSpec, OptionSpec, Scope};

/// The options of a backend as a Markdown table, or a sentence when there are none.
pub fn backend_markdown(backend: &BackendSpec) -> String {
    let name = backend.name;
    if backend.ignores_options {
        return format!("`{name}` has no options: any that is set is ignored.\n");
    }
    let mut text = String::from("| option | section | value | default | meaning |\n|---|---|---|---|---|\n");
    for spec in backend.options {
        let section = match spec.scope {
            Scope::Global => format!("`[backend {name}]`"),
            Scope::Instance => format!("`[{name} NAME]`"),
            Scope::Both => "both".into(),
        };
        row(&mut text, spec, Some(&section));
    }
    text
}

/// Options as a Markdown table without a column for the section.
pub fn options_markdown(options: &[OptionSpec]) -> String {
    let mut text = String::from("| option | value | default | meaning |\n|---|---|---|---|\n");
    options.iter().for_each(|spec| row(&mut text, spec, None));
    text
}

fn row(text: &mut String, spec: &OptionSpec, section: Option<&str>) {
    let aliases: String = spec.aliases.iter().map(|alias| format!(", `{alias}`")).collect();
    let default = if spec.default.is_empty() { "none".into() } else { format!("`{}`", spec.default) };
    let section = section.map(|section| format!(" {section} |")).unwrap_or_default();
    let again = if spec.accumulates { "; any number of times" } else { "" };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| `{}`{aliases} |{section} {} | {default} | {}{again} |",
        spec.title(),
        spec.kind.form(),
        spec.help,
    );
}
