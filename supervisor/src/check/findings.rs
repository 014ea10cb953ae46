//! What the worker of an instance has found, as errors and warnings at their places in the show
//! file.

use crate::stderr::print_line;
use mm_config::{Diagnostics, Instance, Span};
use mm_shared::control::{Failure, FailureSubject, HandlerSubject};
use std::collections::HashMap;

/// A remark of a worker. Hints may follow the text, each after `\nhint: `.
pub struct Remark {
    /// What in the show file it is about, if that is known.
    pub subject: Option<HandlerSubject>,
    pub text: String,
}

/// Finds the places of an instance in the show file.
pub struct Findings<'a> {
    instance: &'a Instance,
}

impl<'a> Findings<'a> {
    pub fn new(instance: &'a Instance) -> Self {
        Self { instance }
    }

    /// Adds a warning for each remark; for those on channels that come from one name with a range in
    /// it, one for all.
    pub fn remarks(&self, remarks: &[Remark], diagnostics: &mut Diagnostics) {
        let mut found: Vec<(Span, &str, usize)> = Vec::new();
        let mut ranges: HashMap<Span, usize> = HashMap::new();
        for Remark { subject, text } in remarks {
            let span = self.span(*subject);
            match ranges.get(&span) {
                Some(at) => found[*at].2 += 1,
                None => {
                    if subject.is_some() {
                        ranges.insert(span, found.len());
                    }
                    found.push((span, text, 0));
                }
            }
        }
        for (span, text, more) in found {
            let mut parts = text.split("\nhint: ");
            let what = parts.next().unwrap_or_default();
            let more = if more > 0 { format!(" (and {more} more of this range)") } else { String::new() };
            let message = format!("instance `{}`: {what}{more}", self.instance.name);
            let warning = diagnostics.warning(span, message);
            parts.for_each(|hint| {
                warning.hint(hint);
            });
        }
    }

    /// The place of what a remark is about.
    fn span(&self, subject: Option<HandlerSubject>) -> Span {
        let span = match subject {
            Some(HandlerSubject::Channel(number)) => {
                self.instance.channels.get(number as usize).map(|channel| channel.span)
            }
            Some(HandlerSubject::Default) => self.option("default-handler", |_| true),
            None => None,
        };
        span.unwrap_or(self.instance.span)
    }

    /// Adds what has kept the modules from being imported. Returns whether it is an error: what the
    /// script needs may be in use by the running show.
    pub fn failure(&self, failure: &Failure, diagnostics: &mut Diagnostics) -> bool {
        let Failure { subject, summary, traceback, hint, is_busy } = failure;
        let span = match subject {
            FailureSubject::Module(module) => self.option("module", |value| value == module),
            FailureSubject::Venv => self.option("venv", |_| true),
            FailureSubject::Other => None,
        };
        let span = span.unwrap_or(self.instance.span);
        let (name, summary) = (&self.instance.name, summary.trim_end());
        if traceback.trim_end() != summary {
            print_line(&format!("instance `{name}`: {}\n", traceback.trim_end()));
        }
        let message = format!("instance `{name}`: {subject}: {summary}");
        if *is_busy {
            let warning = diagnostics.warning(span, message);
            warning.hint("in use by the running show? what follows in the module was not checked");
        } else {
            diagnostics.error(span, message).maybe_hint(hint.as_ref());
        }
        !is_busy
    }

    /// Adds an end of the worker that no module is known to be the reason of.
    pub fn end(&self, what: &str, diagnostics: &mut Diagnostics) -> bool {
        diagnostics.error(self.instance.span, format!("instance `{}`: {what}", self.instance.name));
        true
    }

    /// The value of the last setting of an option whose value is meant.
    fn option(&self, key: &str, is_meant: impl Fn(&String) -> bool) -> Option<Span> {
        let settings = self.instance.settings.iter();
        let mut found = settings.filter(|setting| setting.key.value == key && is_meant(&setting.value.value));
        found.next_back().map(|setting| setting.value.span)
    }
}
