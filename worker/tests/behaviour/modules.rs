//! The forms of `module`, what is importable, and imports that fail.

use crate::rig::Script;
use mm_shared::control::{FailureSubject, Module};

#[test]
fn a_name_a_file_name_and_a_path_all_work() {
    let script = Script::empty(&["a.f", "b.f", "c.f", "d.e.f", "g.f"]);
    for name in ["a.py", "b.py", "sub/c.py", "d/e.py", "elsewhere/g.py"] {
        script.write(name, "def f(v): print(__name__, v)\n");
    }
    script.write("d/__init__.py", "");
    let absolute = script.path().join("elsewhere/g.py");
    let script = script.module("a").module("b.py").module("sub/c.py").module("d.e");
    let mut worker = script.module(absolute.to_str().expect("utf-8")).serve();
    for (channel, name) in [("a.f", "a"), ("b.f", "b"), ("c.f", "c"), ("d.e.f", "d.e"), ("g.f", "g")] {
        worker.send(channel, 0.5);
        assert_eq!(worker.line(), format!("{name} 0.5"));
    }
}

#[test]
fn paths_start_at_the_file_that_names_them() {
    let mut script = Script::empty(&["inner.f"]);
    script.write("deep/inner.py", "import sibling\ndef f(v): print(sibling.WHERE)\n");
    script.write("deep/sibling.py", "WHERE = 'deep'\n");
    let directory = script.path().join("deep");
    script.boot.modules.push(Module { text: "inner".into(), directory });
    let mut worker = script.serve();
    worker.send("inner.f", 1.0);
    assert_eq!(worker.line(), "deep");
}

#[test]
fn siblings_of_a_module_in_another_directory_are_importable_also_later() {
    let script = Script::empty(&["h.f"]).module("sub/h.py");
    script.write("sub/h.py", "import one\ndef f(v):\n import two\n print(one.X, two.X)\n");
    script.write("sub/one.py", "X = 1\n");
    script.write("sub/two.py", "X = 2\n");
    let mut worker = script.serve();
    worker.send("h.f", 1.0);
    assert_eq!(worker.line(), "1 2");
}

#[test]
fn the_shows_directory_is_the_working_directory_and_first_on_the_path() {
    let code = "
import os, sys
print(os.path.samefile(os.getcwd(), os.path.dirname(__file__)), sys.path[0] == os.path.dirname(__file__))
print(sys.argv, sys.flags.safe_path, os.path.exists('__pycache__'))
";
    let mut worker = Script::new(code, &[]).serve();
    assert_eq!(worker.line(), "True True");
    assert_eq!(worker.line(), "[''] False False");
}

#[test]
fn a_module_that_raises_is_a_failure_with_file_line_and_traceback() {
    let script = Script::new("import midimonster\n\ndef inner():\n    return 1 / 0\ninner()\n", &["h.f"]);
    let (failure, mut worker) = script.fail();
    assert_eq!(failure.subject, FailureSubject::Module("h".into()));
    let summary = &failure.summary;
    assert!(summary.ends_with("h.py`, line 4: ZeroDivisionError: division by zero"), "{summary}");
    assert!(failure.traceback.starts_with("Traceback (most recent call last):"), "{}", failure.traceback);
    assert!(failure.traceback.contains("in inner"), "{}", failure.traceback);
    assert!(!failure.traceback.contains("importlib"), "{}", failure.traceback);
    assert_eq!(worker.exit().code(), Some(3));
}

#[test]
fn a_syntax_error_names_file_and_line() {
    let (failure, mut worker) = Script::new("x = 1\ndef f(:\n", &[]).fail();
    assert!(failure.summary.contains("h.py`, line 2: SyntaxError: "), "{}", failure.summary);
    assert!(failure.traceback.contains("def f(:"), "{}", failure.traceback);
    assert_eq!(worker.exit().code(), Some(3));
}

#[test]
fn leaving_the_interpreter_at_import_is_a_failure_too() {
    for code in ["import sys\nsys.exit(0)\n", "raise KeyboardInterrupt\n"] {
        let (failure, mut worker) = Script::new(code, &[]).fail();
        assert!(failure.traceback.contains("h.py\", line "), "{}", failure.traceback);
        assert_eq!(worker.exit().code(), Some(3));
    }
}

#[test]
fn a_missing_module_says_where_it_was_looked_for() {
    for (text, file) in [("gone", "/gone.py"), ("gone.py", "/gone.py"), ("sub/gone.py", "/sub/gone.py")] {
        let (failure, _worker) = Script::empty(&[]).module(text).fail();
        assert_eq!(failure.subject, FailureSubject::Module(text.into()));
        assert!(failure.summary.contains(file), "{}", failure.summary);
        assert!(failure.summary.starts_with("there is no module `gone`"), "{}", failure.summary);
    }
}

#[test]
fn a_missing_module_inside_a_module_is_the_modules_own_error() {
    let (failure, _worker) = Script::new("import not_there\n", &[]).fail();
    assert!(failure.summary.contains("h.py`, line 1: ModuleNotFoundError"), "{}", failure.summary);
}

#[test]
fn a_name_that_is_taken_is_refused_with_a_hint() {
    for name in ["os", "midimonster", "sys"] {
        let script = Script::empty(&[]).module(name);
        script.write(&format!("{name}.py"), "def f(v): pass\n");
        let (failure, _worker) = script.fail();
        assert!(failure.summary.contains("is taken by"), "{}", failure.summary);
        assert_eq!(failure.hint.as_deref(), Some("give the file another name"));
    }
}

#[test]
fn a_changed_script_is_noticed_even_within_the_same_second() {
    let script = Script::new("print('one')\n", &[]);
    let directory = script.path().to_owned();
    let mut worker = script.serve();
    assert_eq!(worker.line(), "one");
    std::fs::write(directory.join("h.py"), "print('two')\n").expect("a file");
    let mut script = Script::empty(&[]);
    script.boot.modules.push(Module { text: "h".into(), directory });
    assert_eq!(script.serve().line(), "two");
}

#[test]
fn packages_of_a_virtual_environment_are_found() {
    let python = env!("MM_PYTHON_EXECUTABLE");
    let mut script = Script::new("import only_here, sys\nprint(only_here.X, sys.prefix)\n", &[]);
    let venv = script.path().join("venv");
    let made = std::process::Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&venv).status();
    assert!(made.expect("python runs").success());
    let site = format!("venv/lib/python{}/site-packages/only_here.py", env!("MM_PYTHON_VERSION"));
    script.write(&site, "X = 42\n");
    script.venv = Some(venv.clone());
    assert_eq!(script.serve().line(), format!("42 {}", venv.display()));
}
