//! The folders of a crate import each other in one direction only: a circle of imports means that
//! no folder of it can be read, tested or replaced alone.

use super::{code, name, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Which folders and files right below `src` import which others, in one crate.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// A file's code without its unit tests, which may use whatever they like.
fn without_tests(text: &str) -> String {
    let code = code(text);
    let tests = code.find("#[cfg(test)]\nmod ").or_else(|| code.find("#[cfg(test)]\npub"));
    code[..tests.unwrap_or(code.len())].to_owned()
}

/// The modules that stand behind `crate::` in a text.
fn imported(text: &str) -> BTreeSet<String> {
    let word =
        |text: &str| text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    let behind = text.split("crate::").skip(1);
    behind
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split("};").next().unwrap_or_default();
                list.split([',', '\n']).map(|part| word(part.trim_start())).collect::<Vec<String>>()
            }
            None => vec![word(rest)],
        })
        .filter(|word| !word.is_empty())
        .collect()
}

fn imports(folder: &str) -> Imports {
    let mut imports = Imports::new();
    for (path, text) in sources() {
        let path = name(&path);
        let Some(inside) = path.strip_prefix(&format!("{folder}/src/")) else { continue };
        if ["lib.rs", "main.rs", "test_shows.rs"].contains(&inside) || inside.contains("tests") {
            continue;
        }
        let module = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs").to_owned();
        let mut others = imported(&without_tests(&text));
        others.remove(&module);
        imports.entry(module).or_default().extend(others);
    }
    imports
}

/// Takes out whatever imports nothing that is left, again and again: what remains is part of a
/// circle, or imports one. The same in the other direction leaves the circles and what lies between
/// them.
fn circle(mut imports: Imports) -> Imports {
    loop {
        let known: BTreeSet<String> = imports.keys().cloned().collect();
        imports.values_mut().for_each(|others| others.retain(|other| known.contains(other)));
        let used: BTreeSet<String> = imports.values().flatten().cloned().collect();
        let before = imports.len();
        imports.retain(|module, others| !others.is_empty() && used.contains(module));
        if imports.len() == before {
            return imports;
        }
    }
}

#[test]
fn no_folders_import_each_other_in_a_circle() {
    for folder in ["config", "shared", "worker", "supervisor"] {
        let circle = circle(imports(folder));
        assert!(circle.is_empty(), "{folder}: {circle:#?}");
    }
}

#[test]
fn a_circle_is_found_and_what_leads_to_it_is_not_part_of_it() {
    let imports = |edges: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in edges {
            imports.entry((*to).to_owned()).or_default();
            imports.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        imports
    };
    assert!(circle(imports(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let found = circle(imports(&[("top", "a"), ("a", "b"), ("b", "a"), ("b", "ground")]));
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn imports_are_recognised() {
    let text = "use crate::router::table::RouteTable;\nuse crate::{ids::WorkerId, log};\nlet x = crate::show::LiveShow::new();";
    assert_eq!(imported(text).into_iter().collect::<Vec<_>>(), ["ids", "log", "router", "show"]);
}
