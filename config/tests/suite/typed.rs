//! Options as values, and the tables they come from.

use std::path::Path;
use std::time::Duration;

use mm_config::options::{self, OptionSpec};
use mm_config::{Failsafe, Kind, Priority, PythonOptions, RestartRule, SupervisorOptions, load_text};

use crate::common::{instance, overrides, show, text, valid};

fn python(global: &str, own: &str) -> PythonOptions {
    let show = show(&format!("[backend python]\n{global}\n[python p]\n{own}\n"));
    PythonOptions::of(&show, instance(&show, "p"))
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let written: String = options::backend_options(Kind::Python)
        .filter(|spec| !spec.default.is_empty())
        .map(|spec| format!("{} = {}\n", spec.name, spec.default))
        .collect();
    assert_eq!(written.lines().count(), 13);
    assert_eq!(python("", &written), PythonOptions::default());
    assert_eq!(python("", ""), PythonOptions::default());
}

#[test]
fn every_option_of_a_python_instance_is_read() {
    let all = "watchdog = off\nrestart = on-failure\nbackoff = 0.5s\nbackoff-max = 1h\nstable = 5m\n\
               max-restarts = 3/60\nstart-timeout = 1m\nstop-timeout = 0ms\nqueue = 16\nfailsafe = zero\n\
               failsafe.a.b = 0.25\nfailsafe-after = 3s\nmemory-limit = 256M\nwatch = yes";
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
    assert_eq!(options.failsafe, Failsafe::Zero);
    assert_eq!(options.failsafe_channels.get("a.b"), Some(&0.25));
    assert_eq!(options.failsafe_after, Duration::from_secs(3));
    assert_eq!(options.memory_limit, Some(256 << 20));
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
    let flags = overrides(&["python.restart=never"], &[]);
    let show = valid(load_text(Path::new("s.cfg"), "[python a]\n[python b]\nrestart = always\n", &flags));
    assert_eq!(PythonOptions::of(&show, instance(&show, "a")).restart, RestartRule::Never);
    assert_eq!(PythonOptions::of(&show, instance(&show, "b")).restart, RestartRule::Always);
}

#[test]
fn the_supervisors_options_are_read() {
    let text = "[supervisor]\nsocket = s.sock\nstate-file = /var/s\nlow-latency = on\npriority = fifo:10\n";
    let show = valid(load_text(Path::new("/srv/s.cfg"), text, &overrides(&[], &[])));
    let options = SupervisorOptions::of(&show);
    assert_eq!(options.socket.as_deref(), Some(Path::new("/srv/s.sock")));
    assert_eq!(options.state_file.as_deref(), Some(Path::new("/var/s")));
    assert!(options.low_latency);
    assert_eq!(options.priority, Some(Priority::Fifo(10)));
    let nice = self::show("[supervisor]\npriority = -10\n");
    assert_eq!(SupervisorOptions::of(&nice).priority, Some(Priority::Nice(-10)));
    assert_eq!(SupervisorOptions::of(&self::show("")), SupervisorOptions::default());
}

#[test]
fn durations_and_sizes_need_their_units() {
    assert_eq!(options::duration("1.5s"), Ok(Duration::from_millis(1500)));
    assert_eq!(options::duration("2 m"), Ok(Duration::from_secs(120)));
    for wrong in ["", "s", "5", "-1s", "1d", "1..5s", "inf", "1e3s", "99999h", "99999999999999999999999999s"]
    {
        assert!(options::duration(wrong).is_err(), "{wrong}");
    }
    assert_eq!(options::size("64K"), Ok(65536));
    assert_eq!(options::size("2GiB"), Ok(2 << 30));
    assert_eq!(options::size("1024"), Ok(1024));
    for wrong in ["", "M", "1.5G", "-1M", "5X", "99999999999999T", "10s"] {
        assert!(options::size(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_switch_knows_the_usual_words() {
    assert!(["on", "ON", "yes", "true", "1"].iter().all(|word| options::switch(word) == Ok(true)));
    assert!(["off", "Off", "no", "false", "0"].iter().all(|word| options::switch(word) == Ok(false)));
    assert!(options::switch("maybe").is_err());
}

#[test]
fn addresses_are_checked_for_their_form() {
    let good = [
        "bind = * 8000",
        "bind = :: 0",
        "bind = host\t 8000",
        "dest = learn",
        "dest = learn@9000",
        "dest = h 1",
    ];
    for line in good {
        assert!(text(&format!("[osc o]\n{line}")).diagnostics.is_empty(), "{line}");
    }
    let bad = [
        "bind = 8000",
        "bind = * osc",
        "bind = * 70000",
        "bind = * 1 2",
        "dest = h 0",
        "dest = learn@",
        "dest = learned",
    ];
    for line in bad {
        assert!(text(&format!("[osc o]\n{line}")).diagnostics.has_errors(), "{line}");
    }
}

#[test]
fn every_option_is_documented_and_takes_its_own_default() {
    let check = |spec: &OptionSpec| {
        assert!(
            !spec.help.is_empty() && !spec.help.contains('\n') && !spec.help.ends_with('.'),
            "{}",
            spec.name
        );
        assert!(spec.default.is_empty() || spec.kind.check(spec.default).is_ok(), "{}", spec.name);
    };
    for kind in Kind::ALL {
        options::backend_options(kind).chain(options::instance_options(kind)).for_each(check);
    }
    options::supervisor_options().for_each(check);
}

#[test]
fn the_tables_of_the_documentation_hold_every_option() {
    let tables = [
        options::markdown(Kind::Loopback),
        options::markdown(Kind::Midi),
        options::markdown(Kind::Osc),
        options::markdown(Kind::Python),
        options::supervisor_markdown(),
    ];
    insta::assert_snapshot!(tables.join("\n"));
}
