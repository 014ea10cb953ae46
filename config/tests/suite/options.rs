//! The values of options.

use std::path::Path;
use std::time::Duration;

use mm_config::options;
use mm_config::{Priority, SupervisorOptions, load_text};

use crate::backends::BACKENDS;
use crate::common::{overrides, show, valid};

#[test]
fn the_supervisors_options_are_read() {
    let text = "[supervisor]\nsocket = s.sock\nstate-file = /var/s\nlow-latency = on\npriority = fifo:10\n";
    let show = valid(load_text(Path::new("/srv/s.cfg"), text, &overrides(&[], &[]), BACKENDS));
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
fn the_last_setting_of_an_option_counts_and_the_default_where_there_is_none() {
    let osc = BACKENDS[2].options;
    let show = self::show("[osc o]\nroot = /a\nroot = /b\n");
    assert_eq!(options::value_of(osc, &show.instances[0].settings, "root"), Some("/b"));
    assert_eq!(options::value_of(osc, &show.instances[0].settings, "bind"), None);
    assert_eq!(options::value_of(osc, &[], "detect"), Some("off"));
}
