//! `state-file`: values survive the supervisor, also when it is killed or its file is damaged.

use mm_tests::osc::F;
use mm_tests::{Event, Running, TestShow, wait_until};
use std::fs;
use std::path::PathBuf;

const SCRIPT: &str = "
    import midimonster
    print('values', midimonster.inputvalue('h.set'), midimonster.outputvalue('x'))
    def set(value):
        midimonster.output('x', value / 2)
";

fn start() -> Running {
    let stage = TestShow::new();
    stage.python("h.py", SCRIPT);
    stage.osc_show(
        "[supervisor]\nstate-file = kept/state\n[python py]\nmodule = h\n[map]\nnet./set > py.h.set\npy.x > net./x\n",
    );
    fs::create_dir(stage.directory().join("kept")).expect("the stage is ours");
    stage.run()
}

fn state(show: &Running) -> PathBuf {
    show.stage().directory().join("kept/state")
}

/// Sets a value, and waits until it is on disk.
fn set_and_keep(show: &Running, value: f32) {
    let before = fs::read(state(show)).unwrap_or_default();
    show.send("/set", &[F(value)]);
    show.expect("/x", &[F(value / 2.0)]);
    // Both the output and, when its handler has returned, the input.
    let holds =
        |bytes: &[u8], value: f32| bytes.windows(8).any(|window| window == f64::from(value).to_le_bytes());
    wait_until("the values on disk", || {
        let bytes = fs::read(state(show)).unwrap_or_default();
        bytes != before && holds(&bytes, value) && holds(&bytes, value / 2.0)
    });
}

#[test]
fn a_supervisor_that_is_killed_has_kept_the_values() {
    let mut show = start();
    show.wait_for(Event::printed("py", "values 0.0 0.0"));
    set_and_keep(&show, 0.625);
    show.kill();
    let again = show.run_again();
    again.wait_for(Event::printed("py", "values 0.625 0.3125"));
    again.stop();
}

#[test]
fn a_show_that_ends_keeps_the_values_of_its_last_moment() {
    let mut show = start();
    show.send("/set", &[F(0.625)]);
    show.expect("/x", &[F(0.3125)]);
    show.pause();
    let again = show.run_again();
    again.wait_for(Event::printed("py", "values 0.625 0.3125"));
    again.stop();
}

#[test]
fn a_damaged_file_is_put_aside_with_a_warning() {
    let mut show = start();
    set_and_keep(&show, 0.625);
    show.kill();
    let path = state(&show);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&path, &bytes).unwrap();
    let again = show.run_again();
    again.wait_for(Event::named("state_unusable").level("warn"));
    again.wait_for(Event::printed("py", "values 0.0 0.0"));
    assert_eq!(fs::read(path.with_extension("damaged-1")).unwrap(), bytes);
    // From here on values are kept as ever.
    set_and_keep(&again, 0.5);
    again.stop();
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_no_end() {
    let mut show = start();
    set_and_keep(&show, 0.625);
    show.kill();
    let bytes = fs::read(state(&show)).unwrap();
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(state(&show), &bytes[..length]).unwrap();
        show = show.run_again();
        show.wait_for(Event::printed("py", "values 0.0 0.0"));
        show.kill();
    }
    fs::write(state(&show), &bytes).unwrap();
    let again = show.run_again();
    again.wait_for(Event::printed("py", "values 0.625 0.3125"));
    again.stop();
}
