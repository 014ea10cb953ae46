//! What the documents name is there, and their English is the field's.

use super::{name, sources};
use mm_tests::binaries::workspace;
use std::fs;

fn faults() -> Vec<(String, String)> {
    let table = fs::read_to_string(workspace().join("tests/FAULTS.md")).expect("the table of faults");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (fault, rest) = row.split_once("` |")?;
        let tests = rest.trim_end_matches(" |").rsplit("| ").next()?;
        Some((fault.to_owned(), tests.to_owned()))
    })
    .collect()
}

/// The words in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_fault_has_tests_and_each_test_of_a_fault_names_a_row() {
    let faults = faults();
    assert!(faults.len() > 30, "{faults:?}");
    for (fault, tests) in &faults {
        for test in quoted(tests) {
            let path = workspace().join("tests/tests").join(test);
            let text = fs::read_to_string(&path).unwrap_or_else(|_| panic!("`{fault}` names `{test}`"));
            assert!(text.contains(&format!("`{fault}`")), "`{test}` does not name `{fault}`");
        }
    }
    for (path, text) in sources() {
        let heading = text.lines().take_while(|line| line.starts_with("//!"));
        let heading: String = heading.map(|line| line.trim_start_matches("//!")).collect();
        for named in heading.split("ault ").skip(1).chain(heading.split("aults ").skip(1)) {
            let sentence = named.split([':', '.', '(']).next().unwrap_or_default();
            for fault in quoted(sentence).filter(|word| word.contains('-') && !word.contains(' ')) {
                assert!(faults.iter().any(|(known, _)| known == fault), "{}: `{fault}`", name(&path));
            }
        }
    }
}
