//! The example shows are without fault, and the README has every option.

use super::*;
use crate::backends::PYTHON;
use crate::instances::options::PythonOptions;
use mm_config::options::{OptionSpec, backend_markdown, options_markdown};
use mm_config::{SUPERVISOR_OPTIONS, Show};
use std::fs;
use std::path::PathBuf;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn examples() -> Vec<(PathBuf, Show)> {
    let entries = fs::read_dir(repository().join("config/examples")).expect("there are examples");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let shows = paths.filter(|path| path.extension().is_some_and(|extension| extension == "cfg"));
    shows.map(|path| (path.clone(), valid(load(&path, &Overrides::default())))).collect()
}

fn valid(loaded: LoadedShowFile) -> Show {
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
    loaded.show
}

#[test]
fn every_example_loads_without_a_diagnostic() {
    let examples = examples();
    assert!(examples.len() >= 3);
    for (path, show) in examples {
        assert!(!show.mappings.is_empty(), "{}", path.display());
    }
}

#[test]
fn the_modules_that_examples_name_stand_beside_them() {
    for (path, show) in examples() {
        for instance in show.instances.iter().filter(|instance| instance.backend == PYTHON) {
            for module in PythonOptions::of(&show, instance).modules {
                let file = module.directory.join(Path::new(&module.text).with_extension("py"));
                assert!(file.is_file(), "{} of {}", file.display(), path.display());
            }
        }
    }
}

#[test]
fn every_backend_has_a_name_of_its_own() {
    let mut names: Vec<_> = specs().iter().map(|spec| spec.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_option_is_documented_and_takes_its_own_default() {
    let check = |spec: &OptionSpec| {
        let help = spec.help;
        assert!(!help.is_empty() && !help.contains('\n') && !help.ends_with('.'), "{}", spec.name);
        assert!(spec.default.is_empty() || spec.kind.check(spec.default).is_ok(), "{}", spec.name);
    };
    specs().iter().flat_map(|backend| backend.options).for_each(check);
    SUPERVISOR_OPTIONS.iter().for_each(check);
}

/// What stands in the README between `<!-- options NAME -->` and `<!-- end -->`.
fn documented(readme: &str, name: &str) -> String {
    let start = format!("<!-- options {name} -->\n");
    let (_, after) = readme.split_once(&start).unwrap_or_else(|| panic!("the README has no `{start}`"));
    after.split("<!-- end -->").next().unwrap_or_default().to_owned()
}

#[test]
fn the_readme_has_all_options_as_the_program_takes_them() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    for backend in specs() {
        let name = backend.name;
        assert_eq!(documented(&readme, name), backend_markdown(&backend), "options of `{name}`");
    }
    assert_eq!(documented(&readme, "supervisor"), options_markdown(mm_config::SUPERVISOR_OPTIONS));
}

fn text(text: &str) -> LoadedShowFile {
    load_text(Path::new("show.cfg"), text)
}

fn rendered(text: &str) -> String {
    self::text(text).diagnostics.render(false)
}

#[test]
fn unknown_options() {
    insta::assert_snapshot!(rendered(
        "[backend osc]\ndetct = on\nbind = * 8000\n[osc a]\nDest = learn\ndetect = on\nport = 1\n[backend python]\n\
         module = x\nvenv = x\n[python p]\ndefault_handler = a.b\nfailsafe. = 1\nspeed = 1\n[supervisor]\nsockt = x\n"
    ));
}

#[test]
fn values_of_the_wrong_type() {
    insta::assert_snapshot!(rendered(
        "[backend osc]\ndetect = maybe\n[osc a]\nbind = localhost:8000\nbind = * http\ndest = learn@0\ndest = here\n\
         root = x\n[python p]\nrestart = alwys\nwatchdog = 5\nwatchdog = 0s\nstable = soon\nbackoff-max = 9999h\n\
         start-timeout = off\nmax-restarts = 3\nqueue = 0\nfailsafe = one\nfailsafe.x = 1.5\nmemory-limit = 256\n\
         memory-limit = lots\ndefault-handler = f\nwatch = on ; always\n[supervisor]\npriority = 20\npriority = fifo:0\n"
    ));
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
