//! Without a MIDI system there is one warning, the C libraries print nothing, and the rest of the
//! show runs.

use crate::rig::Server;
use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow};
use std::path::Path;

const SHOW: &str = "[midi one]\nread = pad\n[midi two]\nwrite = pad\n[midi three]\n[map]
one.ch0.cc1 > two.ch0.cc1\nnet./in > two.ch0.cc2\nnet./in > net./out\nthree.ch0.cc1 > three.ch0.cc2\n";

/// Asserts that there is one warning, and that all output is log lines.
fn assert_quiet(show: Running, warning: &str) {
    show.wait_for(Event::named("midi_unavailable").level("warn").message(warning));
    show.send("/in", &[F(0.5)]);
    show.expect("/out", &[F(0.5)]);
    let ended = show.stop();
    assert_eq!(ended.text.matches(warning).count(), 1, "logged once for all instances:\n{}", ended.text);
    for line in ended.text.lines() {
        let ours = [" INFO ", " WARN "].iter().any(|level| line.contains(level));
        assert!(ours, "`{line}` is not of ours:\n{}", ended.text);
    }
}

#[test]
fn without_a_jack_server_there_is_one_warning_and_the_rest_runs() {
    let server = Server::stopped();
    let stage = server.stage();
    stage.osc_show(SHOW);
    assert_quiet(server.run(stage), "no JACK server is running");
}

#[test]
fn without_the_alsa_sequencer_there_is_one_warning_and_the_rest_runs() {
    if Path::new("/dev/snd/seq").exists() {
        // This machine has one; `make test-alsa` tests it.
        return;
    }
    let stage = TestShow::new();
    stage.osc_show(SHOW);
    assert_quiet(stage.run(), "`/dev/snd/seq` is missing");
}
