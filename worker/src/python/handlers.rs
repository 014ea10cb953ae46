//! From channel to Python function.
//!
//! A channel `module.function` is handled by that function, a channel without a dot by the default
//! handler, if there is one. Handlers are looked up once, when the modules are imported, so that an
//! event costs an index and a call.

use super::{Instance, coroutines, signature};
use mm_shared::ChannelId;
use mm_shared::control::{BitSet, Boot, HandlerSubject};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Handlers by channel number.
pub struct Handlers {
    by_number: Vec<Option<Py<PyAny>>>,
    default: Option<Py<PyAny>>,
}

/// What there is to say about a handler that the show names.
pub struct HandlerRemark {
    pub subject: HandlerSubject,
    pub text: String,
}

/// What a dotted name led to.
enum Lookup {
    Callable(Py<PyAny>),
    /// No module of that name is imported.
    NoModule,
    /// The module is there, but not what is asked of it.
    Missing {
        module: String,
        attribute: String,
        problem: HandlerProblem,
        holds: Vec<String>,
    },
}

enum HandlerProblem {
    Absent,
    NotCallable,
}

impl Handlers {
    /// Finds the handlers of all channels, and what there is to say about those that the show names:
    /// the default handler, and channels that are targets of mappings.
    pub fn find(py: Python<'_>, instance: &Instance, boot: &Boot) -> (Handlers, Vec<HandlerRemark>) {
        let mut remarks = Vec::new();
        let mut handlers = Handlers { by_number: Vec::new(), default: None };
        if let Some(name) = &boot.default_handler {
            let remark = match find(py, name) {
                Lookup::Callable(callable) => {
                    let problem = problem(callable.bind(py));
                    handlers.default = Some(callable);
                    problem.map(|problem| format!("default handler `{name}` {problem}"))
                }
                other => Some(other.warning(py, &format!("default handler `{name}`"), name)),
            };
            remarks.extend(remark.map(|text| HandlerRemark { subject: HandlerSubject::Default, text }));
        }
        // Without modules, each of its names would have the same remark, which `check` makes once.
        let has_modules = !boot.modules.is_empty();
        for number in 0..instance.channels.len() {
            let name = instance.channels.display(py, ChannelId(number));
            let found = handlers.resolve(py, &name);
            if has_modules && boot.targets.contains(number) {
                let text = handlers.remark(py, boot, &name, &found);
                let subject = HandlerSubject::Channel(number);
                remarks.extend(text.map(|text| HandlerRemark { subject, text }));
            }
            handlers.by_number.push(found.ok());
        }
        (handlers, remarks)
    }

    /// What there is to say about the handler of a channel.
    fn remark(
        &self,
        py: Python<'_>,
        boot: &Boot,
        name: &str,
        found: &Result<Py<PyAny>, Lookup>,
    ) -> Option<String> {
        match found {
            Err(_) if !name.contains('.') => forgotten_module(py, boot, name),
            Err(found) if found.is_worth_a_warning(name) => {
                Some(found.warning(py, &format!("channel `{name}`"), name))
            }
            Ok(callable) if name.contains('.') => {
                let problem = problem(callable.bind(py))?;
                Some(format!("handler of channel `{name}` {problem}"))
            }
            _ => None,
        }
    }

    /// Which of the first `mapped` channels have a handler.
    pub fn handled(&self, mapped: u32) -> BitSet {
        let mut handled = BitSet::default();
        let channels = self.by_number.iter().zip(0..mapped);
        channels.filter(|(handler, _)| handler.is_some()).for_each(|(_, number)| handled.insert(number));
        handled
    }

    /// The handler of a channel.
    #[inline]
    pub fn get(&self, channel: ChannelId) -> Option<&Py<PyAny>> {
        self.by_number.get(channel.index())?.as_ref()
    }

    /// Finds the handlers of channels that were added since.
    pub fn extend(&mut self, py: Python<'_>, instance: &Instance) {
        for number in self.by_number.len() as u32..instance.channels.len() {
            let found = self.resolve(py, &instance.channels.display(py, ChannelId(number)));
            self.by_number.push(found.ok());
        }
    }

    /// Whether a channel is not known here yet.
    #[inline]
    pub fn lacks(&self, channel: ChannelId) -> bool {
        channel.index() >= self.by_number.len()
    }

    fn resolve(&self, py: Python<'_>, name: &str) -> Result<Py<PyAny>, Lookup> {
        if !name.contains('.') {
            return self.default.as_ref().map(|handler| handler.clone_ref(py)).ok_or(Lookup::NoModule);
        }
        match find(py, name) {
            Lookup::Callable(callable) => Ok(callable),
            other => Err(other),
        }
    }
}

impl Lookup {
    /// Whether a channel of this name was meant to have a handler. Any name with a dot could be;
    /// those that no Python program could spell are not.
    fn is_worth_a_warning(&self, name: &str) -> bool {
        let identifier = |part: &str| {
            part.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !part.starts_with(|c: char| c.is_numeric())
        };
        match self {
            Lookup::Callable(_) => false,
            Lookup::Missing { .. } => true,
            Lookup::NoModule => {
                name.contains('.') && name.split('.').all(|part| !part.is_empty() && identifier(part))
            }
        }
    }

    fn warning(&self, py: Python<'_>, what: &str, name: &str) -> String {
        match self {
            Lookup::Callable(_) => String::new(),
            Lookup::NoModule => {
                let module = name.rsplit_once('.').map(|(module, _)| module);
                let problem = match module {
                    Some(module) => format!("module `{module}` is not imported"),
                    None => "it has to be `module.function`".into(),
                };
                let close = module.and_then(|module| suggest(py, module, &user_modules(py)));
                format!("{what} has no handler: {problem}{}", did_you_mean(close))
            }
            Lookup::Missing { module, attribute, problem: HandlerProblem::NotCallable, .. } => {
                format!("{what} has no handler: `{attribute}` of module `{module}` is not callable")
            }
            Lookup::Missing { module, attribute, problem: HandlerProblem::Absent, holds } => {
                let hint = did_you_mean(suggest(py, attribute, holds));
                let list = if holds.is_empty() { "no functions".into() } else { list(holds) };
                format!(
                    "{what} has no handler: module `{module}` has no `{attribute}`, it holds {list}{hint}"
                )
            }
        }
    }
}

/// Why a callable cannot do the work of a handler.
fn problem(callable: &Bound<'_, PyAny>) -> Option<String> {
    coroutines::problem(callable).or_else(|| signature::problem(callable))
}

/// A channel without a dot only carries values. If a module of the instance has a function of that
/// name, which could handle it, its name was probably forgotten.
fn forgotten_module(py: Python<'_>, boot: &Boot, name: &str) -> Option<String> {
    let modules = loaded(py).ok()?;
    for module in &boot.modules {
        let module = super::modules::name_of(&module.text);
        let Some(object) = modules.get_item(&module).ok().flatten() else { continue };
        let Ok(function) = object.getattr(name) else { continue };
        let home = function.getattr("__module__").ok().and_then(|home| home.extract::<String>().ok());
        if function.is_callable() && home.as_deref() == Some(&module) && signature::takes_one(&function) {
            let owner = &boot.instance;
            return Some(format!(
                "channel `{name}` has no handler, although module `{module}` has a function `{name}`\n\
                 hint: did you mean `{owner}.{module}.{name}`?"
            ));
        }
    }
    None
}

/// Looks a dotted name up: the longest part of it that is an imported module, then the attributes
/// after it.
fn find(py: Python<'_>, name: &str) -> Lookup {
    let Ok(modules) = loaded(py) else { return Lookup::NoModule };
    let mut missing = None;
    for (dot, _) in name.rmatch_indices('.') {
        let (module_name, path) = (&name[..dot], &name[dot + 1..]);
        let Ok(Some(module)) = modules.get_item(module_name) else { continue };
        match attribute(&module, path) {
            Some(found) if found.is_callable() => return Lookup::Callable(found.unbind()),
            found => {
                let problem =
                    if found.is_some() { HandlerProblem::NotCallable } else { HandlerProblem::Absent };
                let (module, attribute) = (module_name.to_owned(), path.to_owned());
                let holds = callables(&module, modules.get_item(&module).ok().flatten());
                missing.get_or_insert(Lookup::Missing { module, attribute, problem, holds });
            }
        }
    }
    missing.unwrap_or(Lookup::NoModule)
}

fn loaded(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(py.import("sys")?.getattr("modules")?.cast_into()?)
}

fn attribute<'py>(module: &Bound<'py, PyAny>, path: &str) -> Option<Bound<'py, PyAny>> {
    path.split('.').try_fold(module.clone(), |object, name| object.getattr(name).ok())
}

/// The functions that a module defines itself; with none of these, all that can be called.
fn callables(name: &str, module: Option<Bound<'_, PyAny>>) -> Vec<String> {
    let Some(Ok(dict)) = module.map(|module| module.getattr("__dict__")) else { return Vec::new() };
    let Ok(dict) = dict.cast_into::<PyDict>() else { return Vec::new() };
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for (key, value) in dict.iter() {
        let key = key.to_string();
        if key.starts_with('_') || !value.is_callable() {
            continue;
        }
        let home = value.getattr("__module__").ok().and_then(|home| home.extract::<String>().ok());
        if home.as_deref() == Some(name) { own.push(key) } else { others.push(key) }
    }
    if own.is_empty() { others } else { own }
}

/// Modules that come from a file outside the standard library, roughly: those that a user may have
/// meant.
fn user_modules(py: Python<'_>) -> Vec<String> {
    let Ok(modules) = loaded(py) else { return Vec::new() };
    let standard = py.import("sys").and_then(|sys| sys.getattr("stdlib_module_names"));
    let is_standard = |name: &str| {
        let top = name.split('.').next().unwrap_or(name);
        standard.as_ref().is_ok_and(|names| names.contains(top).unwrap_or(false))
    };
    modules.keys().iter().map(|name| name.to_string()).filter(|name| !is_standard(name)).collect()
}

/// The closest of the names, found as in Python's own error messages.
pub fn suggest(py: Python<'_>, name: &str, names: &[String]) -> Option<String> {
    let matches =
        py.import("difflib").and_then(|difflib| difflib.call_method1("get_close_matches", (name, names, 1)));
    matches.ok()?.get_item(0).ok()?.extract().ok()
}

fn did_you_mean(close: Option<String>) -> String {
    close.map_or_else(String::new, |close| format!("\nhint: did you mean `{close}`?"))
}

fn list(names: &[String]) -> String {
    const SHOWN_NAMES_LIMIT: usize = 12;
    let shown: Vec<_> = names.iter().take(SHOWN_NAMES_LIMIT).map(|name| format!("`{name}`")).collect();
    let rest = names.len().saturating_sub(SHOWN_NAMES_LIMIT);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
