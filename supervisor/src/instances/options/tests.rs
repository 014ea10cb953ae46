//! The options of a python instance as values, and the table they come from.

use super::*;
use crate::test_shows::show;
use mm_config::{Overrides, load_text};

fn instance<'s>(show: &'s Show, name: &str) -> &'s Instance {
    show.instances.iter().find(|instance| instance.name == name).expect("the instance is declared")
}

fn python(global: &str, own: &str) -> PythonOptions {
    let show = show(&format!("[backend python]\n{global}\n[python p]\n{own}\n"));
    PythonOptions::of(&show, instance(&show, "p"))
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let written: String = SPEC
        .global_options()
        .filter(|spec| !spec.default.is_empty())
        .map(|spec| format!("{} = {}\n", spec.name, spec.default))
        .collect();
    assert_eq!(written.lines().count(), 14);
    assert_eq!(python("", &written), PythonOptions::default());
    assert_eq!(python("", ""), PythonOptions::default());
}

#[test]
fn every_option_of_a_python_instance_is_read() {
    let all = "watchdog = off\nrestart = on-failure\nbackoff = 0.5s\nbackoff-max = 1h\nstable = 5m\n\
               max-restarts = 3/60\nstart-timeout = 1m\nstop-timeout = 0ms\nqueue = 16\nfailsafe = zero\n\
               failsafe.a.b = 0.25\nfailsafe-after = 3s\nmemory-limit = 256M\nreload = restart\nwatch = yes";
    let options = python("", &format!("{all}\nmodule = a.py\nmodule = b\ndefault-handler = a.f"));
    assert_eq!(options.watchdog, None);
    assert_eq!(options.restart, RestartRule::OnFailure);
    assert_eq!(options.backoff, Duration::from_millis(500));
    assert_eq!(options.backoff_max, Duration::from_secs(3600));
    assert_eq!(options.stable, Duration::from_secs(300));
    assert_eq!(options.max_restarts, Some((3, Duration::from_secs(60))));
    assert_eq!(options.start_timeout, Duration::from_secs(60));
    assert_eq!(options.stop_timeout, Duration::ZERO);
    assert_eq!(options.queue, 16);
    assert_eq!(options.failsafe, FailsafeRule::Zero);
    assert_eq!(options.failsafe_channels.get("a.b"), Some(&0.25));
    assert_eq!(options.failsafe_after, Duration::from_secs(3));
    assert_eq!(options.memory_limit, Some(256 << 20));
    assert_eq!(options.reload, ReloadRule::Restart);
    assert!(options.watch);
    assert_eq!(options.modules.len(), 2);
    assert_eq!(options.default_handler.as_deref(), Some("a.f"));
    let as_default = python(all, "");
    assert_eq!(PythonOptions { modules: Vec::new(), default_handler: None, ..options }, as_default);
}

#[test]
fn an_instance_wins_over_the_backend_and_the_last_line_over_the_first() {
    let options = python("watchdog = 1s\nstable = 1s", "watchdog = 2s\nwatchdog = 3s");
    assert_eq!(options.watchdog, Some(Duration::from_secs(3)));
    assert_eq!(options.stable, Duration::from_secs(1));
}

#[test]
fn a_global_override_is_a_default_that_an_instance_wins_over() {
    let flags = Overrides {
        backend: vec!["python.restart=never".into()],
        instance: Vec::new(),
        may_be_unused: false,
    };
    let show =
        load_text(Path::new("s.cfg"), "[python a]\n[python b]\nrestart = always\n", &flags, &[SPEC]).show;
    assert_eq!(PythonOptions::of(&show, instance(&show, "a")).restart, RestartRule::Never);
    assert_eq!(PythonOptions::of(&show, instance(&show, "b")).restart, RestartRule::Always);
}
