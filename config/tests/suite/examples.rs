//! The example shows are without fault.

use std::fs;
use std::path::{Path, PathBuf};

use mm_config::{Kind, Overrides, PythonOptions, load};

use crate::common::valid;

fn shows() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(directory).expect("there are examples");
    let entries = entries.map(|entry| entry.expect("an entry can be read").path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "cfg")).collect()
}

#[test]
fn every_example_loads_without_a_diagnostic() {
    assert!(shows().len() >= 3);
    for path in shows() {
        let show = valid(load(&path, &Overrides::default()));
        assert!(!show.mappings.is_empty(), "{}", path.display());
    }
}

#[test]
fn the_modules_that_examples_name_stand_beside_them() {
    for path in shows() {
        let show = valid(load(&path, &Overrides::default()));
        for instance in show.instances.iter().filter(|instance| instance.kind == Kind::Python) {
            for module in PythonOptions::of(&show, instance).modules {
                let file = module.directory.join(Path::new(&module.text).with_extension("py"));
                assert!(file.is_file(), "{} of {}", file.display(), path.display());
            }
        }
    }
}
