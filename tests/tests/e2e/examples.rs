//! The shows that come with the program.

use mm_tests::binaries::workspace;
use mm_tests::osc::F;
use mm_tests::{Event, TestShow};
use std::fs;

fn examples() -> Vec<(String, String)> {
    let entries = fs::read_dir(workspace().join("config/examples")).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), text))
    });
    texts.collect()
}

#[test]
fn all_examples_pass_the_check() {
    let shows: Vec<_> = examples().into_iter().filter(|(name, _)| name.ends_with(".cfg")).collect();
    assert!(!shows.is_empty());
    for (name, _) in shows {
        let path = workspace().join("config/examples").join(&name);
        TestShow::new().finish(&["check", &path.to_string_lossy()]).assert(0, &[]);
    }
}

#[test]
fn the_demo_moves_by_itself_and_reacts_to_osc() {
    let stage = TestShow::new();
    for (name, text) in examples() {
        let bind = stage.fill("$IN");
        let dest = stage.fill("$OUT");
        stage.write(&name, text.replace("127.0.0.1 8000", &bind).replace("127.0.0.1 9000", &dest));
    }
    let path = stage.path("demo.cfg");
    let show = stage.start_show_with(&["--config", &path]);
    show.wait_for(Event::named("show_running"));
    assert!(show.peer().receive().path.starts_with("/lamp/"));
    show.send("/colour", &[F(0.5)]);
    show.wait_for(Event::printed("shape", "").message("colour: 0.50"));
    show.stop();
}
