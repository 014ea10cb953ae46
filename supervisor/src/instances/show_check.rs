//! Warns of what a show says of its Python instances and cannot work, as far as that is known
//! without importing their modules.

use super::options;
use crate::backends::PYTHON;
use crate::show::{LiveInstance, LiveShow};
use mm_config::{Diagnostics, Setting, did_you_mean};

/// How many channels are searched for one with a similar name.
const NAMES_LIMIT: usize = 1000;

/// Adds the warnings.
pub fn check(show: &LiveShow, diagnostics: &mut Diagnostics) {
    // What seems to be missing may stand in a line that has an error.
    if diagnostics.has_errors() {
        return;
    }
    let instances = show.instances_of(PYTHON);
    for live in &instances {
        warn_of_module(live, diagnostics);
        let setting = |setting: &Setting| failsafe_channel(setting).is_some();
        for setting in live.instance.settings.iter().filter(|found| setting(found)) {
            warn_of_failsafe(setting, std::slice::from_ref(live), diagnostics);
        }
    }
    if !instances.is_empty() {
        show.backend(PYTHON).iter().for_each(|setting| warn_of_failsafe(setting, &instances, diagnostics));
    }
}

fn warn_of_module(live: &LiveInstance<'_>, diagnostics: &mut Diagnostics) {
    let name = &live.instance.name;
    if live.instance.settings.iter().any(|setting| setting.key.value == "module") {
        return;
    }
    let message = format!("instance `{name}` has no `module`, so it runs no script");
    let warning = diagnostics.warning(live.instance.span, message).label("does nothing");
    let mapped = live.targets().find_map(|(_, channel)| channel.name.rsplit_once('.'));
    let module = mapped.map_or("my_script", |(module, _)| module);
    warning.hint(format!("add a line such as `module = {module}` to `[python {name}]`"));
}

/// The channel of an option `failsafe.CHANNEL`.
fn failsafe_channel(setting: &Setting) -> Option<&str> {
    setting.key.value.strip_prefix(options::FAILSAFE_CHANNEL)
}

/// Warns if none of the instances sends on the channel.
fn warn_of_failsafe(setting: &Setting, instances: &[LiveInstance<'_>], diagnostics: &mut Diagnostics) {
    let Some(channel) = failsafe_channel(setting) else { return };
    let outputs = || instances.iter().flat_map(LiveInstance::sources).map(|(_, found)| found.name.as_str());
    if outputs().any(|name| name == channel) {
        return;
    }
    let message = format!("`{}` is for a channel that no mapping takes", setting.key.value);
    let names: Vec<String> =
        outputs().take(NAMES_LIMIT).map(|name| format!("{}{name}", options::FAILSAFE_CHANNEL)).collect();
    let hint = did_you_mean(&setting.key.value, names.iter().map(String::as_str));
    let warning = diagnostics.warning(setting.key.span, message).label("never set");
    warning.maybe_hint(hint);
}
