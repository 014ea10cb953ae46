//! Resolves sections of backends and instances, and applies overrides to them.

use super::settings::SectionKind;
use super::{Declaration, Resolver};
use crate::ast::{Assignment, Block};
use crate::diagnostic::Severity;
use crate::model::{Instance, Section};
use crate::options::BackendSpec;
use crate::overrides::OverrideFlag;
use crate::section_names::{FOREIGN_BACKENDS, WORDS, foreign_backend};
use crate::source::{Span, excerpt};
use crate::suggest::{closest, did_you_mean};

impl<'s> Resolver<'s, '_> {
    pub(super) fn sections(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Backend { name, settings } => self.backend(*name, settings),
                Block::Instance { backend, name, settings } => self.instance(*backend, *name, settings),
                Block::Supervisor { settings } => {
                    let settings = self.settings(SectionKind::Supervisor, settings);
                    self.show.supervisor.extend(settings);
                }
                Block::Map { .. } | Block::Unusable => {}
            }
        }
    }

    fn backend(&mut self, name: Span, settings: &[Assignment]) {
        let Some(backend) = self.backend_spec(name, None) else { return };
        self.mention(backend, name);
        let settings = self.settings(SectionKind::Backend(backend), settings);
        self.section(backend.name, name).settings.extend(settings);
    }

    /// The only section of a backend, however often the file opens it.
    fn section(&mut self, backend: &'static str, span: Span) -> &mut Section {
        let sections = &mut self.show.backends;
        let at = sections.iter().position(|section| section.backend == backend).unwrap_or(sections.len());
        if at == sections.len() {
            sections.push(Section { backend, settings: Vec::new(), span });
        }
        &mut sections[at]
    }

    /// Applies the overrides of a backend when the show first mentions it.
    fn mention(&mut self, backend: BackendSpec, span: Span) {
        if self.mentioned.contains(&backend.name) {
            return;
        }
        self.mentioned.push(backend.name);
        let overrides = self.take_overrides(OverrideFlag::Backend, backend.name);
        if !overrides.is_empty() {
            let settings = self.settings(SectionKind::Backend(backend), &overrides);
            self.section(backend.name, span).settings.extend(settings);
        }
    }

    fn take_overrides(&mut self, flag: OverrideFlag, target: &str) -> Vec<Assignment> {
        let sources = self.sources;
        let for_target = self
            .overrides
            .iter_mut()
            .filter(|one| one.flag == flag && !one.applied && sources.text(one.target) == target);
        let take = for_target.map(|one| {
            one.applied = true;
            Assignment { key: one.key, value: one.value }
        });
        take.collect()
    }

    fn instance(&mut self, backend: Span, span: Span, settings: &[Assignment]) {
        let name = self.text(span);
        let found = self.backend_spec(backend, Some(name));
        if let Some(spec) = found {
            self.mention(spec, backend);
        }
        let usable = self.check_name(span, found.is_some()) && self.check_unique(span);
        let Some(spec) = found.filter(|_| usable) else {
            self.declared.entry(name).or_insert(Declaration::Broken(span));
            // Its options are checked nevertheless, for the errors in them.
            if let Some(spec) = found {
                self.settings(SectionKind::Instance(spec), settings);
            }
            return;
        };
        let overrides = self.take_overrides(OverrideFlag::Instance, name);
        let mut merged = self.settings(SectionKind::Instance(spec), &overrides);
        merged.extend(self.settings(SectionKind::Instance(spec), settings));
        let is_rejected = |one: &&Assignment| merged.iter().all(|setting| setting.key.span != one.key);
        let rejected = overrides.iter().chain(settings).filter(is_rejected).filter_map(|one| {
            let key = self.text(one.key);
            Some(spec.instance_options().find(|option| option.matches(key))?.name)
        });
        let rejected = rejected.collect();
        self.declared.insert(name, Declaration::Instance(self.show.instances.len(), span));
        let (name, channels) = (name.to_string(), Vec::new());
        let backend = spec.name;
        self.show.instances.push(Instance { name, backend, settings: merged, rejected, channels, span });
    }

    /// Names are checked for known backends only: otherwise the line may not be meant as a header.
    fn check_name(&mut self, span: Span, backend_is_known: bool) -> bool {
        let name = self.text(span);
        let Some(at) = name.find(|c: char| c == '.' || c.is_whitespace()) else { return true };
        if backend_is_known {
            let what = if name[at..].starts_with('.') { "dot" } else { "space" };
            let message = format!("instance name `{}` holds a {what}", excerpt(name));
            let error = self.diagnostics.error(span, message);
            error.label("expected a name without spaces and dots");
            error.hint(format!(
                "write `{}`",
                excerpt(&name.replace(|c: char| c == '.' || c.is_whitespace(), "-"))
            ));
        }
        false
    }

    fn check_unique(&mut self, span: Span) -> bool {
        let name = self.text(span);
        let (Some(Declaration::Instance(_, first)) | Some(Declaration::Broken(first))) =
            self.declared.get(name).copied()
        else {
            return true;
        };
        let message = format!("there are two instances named `{}`", excerpt(name));
        self.diagnostics.error(span, message).label("the second one").also(first, "the first one");
        false
    }

    /// The backend in a header. `instance` is the second word, if there is one.
    fn backend_spec(&mut self, span: Span, instance: Option<&str>) -> Option<BackendSpec> {
        let found = self.find_backend(self.text(span));
        if found.is_none() {
            self.unknown_backend(span, instance.is_some());
        }
        found
    }

    fn find_backend(&self, name: &str) -> Option<BackendSpec> {
        self.backends.iter().find(|backend| backend.name == name).copied()
    }

    fn known_backends(&self) -> String {
        let names: Vec<_> = self.backends.iter().map(|backend| backend.name).collect();
        format!("this version has `{}`", names.join("`, `"))
    }

    fn unknown_backend(&mut self, span: Span, header: bool) {
        let (name, known) = (self.text(span), self.known_backends());
        if let Some(foreign) = foreign_backend(name) {
            let message = format!("this version does not have the backend `{name}`");
            let plan = if foreign.is_planned {
                "a backend of MIDIMonster, planned here"
            } else {
                "a backend of MIDIMonster, not planned here"
            };
            let error = self.diagnostics.error(span, message).label(plan);
            error.hint(foreign.substitute.map_or(known, |substitute| format!("use {substitute}")));
            return;
        }
        let error = self.diagnostics.error(span, format!("unknown backend `{}`", excerpt(name)));
        let foreign = FOREIGN_BACKENDS.iter().map(|backend| backend.name);
        let names = self.backends.iter().map(|backend| backend.name).chain(foreign);
        let words = WORDS.into_iter().filter(|_| header);
        match closest(name, names.chain(words)) {
            Some(word) => error.hint(format!("did you mean `{word}`?")),
            None => error.hint(known),
        };
    }

    /// Reports overrides that were not applied.
    pub(super) fn report_unapplied(&mut self) {
        for one in std::mem::take(&mut self.overrides).into_iter().filter(|one| !one.applied) {
            let target = self.text(one.target);
            let severity = if one.may_be_unused { Severity::Warning } else { Severity::Error };
            match one.flag {
                OverrideFlag::Backend if self.find_backend(target).is_none() => {
                    self.unknown_backend(one.target, false)
                }
                OverrideFlag::Backend => {
                    let message = format!("`-b` for `{target}` was never applied");
                    let label = format!("the show does not use the backend `{target}`");
                    self.diagnostics.add(severity, Some(one.target), message).label(label);
                }
                OverrideFlag::Instance if self.declared.contains_key(target) => {}
                OverrideFlag::Instance => {
                    let names = self.show.instances.iter().map(|instance| instance.name.as_str());
                    let message = format!("`-i` for `{}` was never applied", excerpt(target));
                    let error = self.diagnostics.add(severity, Some(one.target), message);
                    error.label("no instance has this name").maybe_hint(did_you_mean(target, names));
                }
            }
        }
    }
}
