//! A public type has a name of its own within its crate, so that a search for the name finds one declaration.

use super::{name, sources};
use std::collections::BTreeMap;

/// The name of the type that a line declares as public, also as public within the crate only.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line
        .strip_prefix("pub ")
        .or_else(|| line.strip_prefix("pub(")?.split_once(") ").map(|(_, rest)| rest))?;
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .next()
        .filter(|name| !name.is_empty())
}

#[test]
fn no_two_public_types_of_a_crate_have_one_name() {
    let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let path = name(&path);
        let Some((folder, _)) = path.split_once("/src/") else { continue };
        for declared in text.lines().filter_map(declared) {
            places.entry((folder.to_owned(), declared.to_owned())).or_default().push(path.clone());
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn declarations_are_recognised() {
    assert_eq!(declared("    pub(super) enum Stage<T> {"), Some("Stage"));
    assert_eq!(declared("pub struct WorkerId(pub u64);"), Some("WorkerId"));
    assert_eq!(declared("struct Private;"), None);
    assert_eq!(declared("pub fn status() -> Status {"), None);
}
