//! Properties of all files, tested with random ones.

use std::path::Path;

use mm_config::{Overrides, load, load_text};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

use crate::backends::BACKENDS;
use crate::common::{mappings, text};

/// Fragments of the grammar: they reach deeper into the parser than random characters.
fn fragment() -> impl Strategy<Value = String> {
    const WORDS: [&str; 32] = [
        "[",
        "]",
        "[map]\n",
        "[backend ",
        "[osc o]\n",
        "[python p]\n",
        "[loopback l]\n",
        "[supervisor]\n",
        "[include ",
        "\n",
        ";",
        " ",
        ".",
        "{",
        "}",
        "..",
        ",",
        "<",
        ">",
        "<>",
        "=",
        "o.x",
        "p.",
        "watchdog = ",
        "bind",
        "5s",
        "{1..3}",
        "{a,b}",
        "\u{fffd}",
        "ü",
        "\t",
        "\r",
    ];
    prop_oneof![4 => select(&WORDS[..]).prop_map(String::from), 1 => "\\PC{0,6}"]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,8}"
}

fn channel() -> impl Strategy<Value = String> {
    "[a-z/][a-z0-9_/.:-]{0,12}[a-z0-9]"
}

/// The left channel with the index of its instance, whether events go to the right, and the right
/// channel.
type Line = (usize, String, bool, usize, String);

/// Names of instances, and mappings between them by index.
fn a_show() -> impl Strategy<Value = (Vec<String>, Vec<Line>)> {
    prop::collection::hash_set(name(), 1..6).prop_flat_map(|names| {
        let names: Vec<String> = names.into_iter().collect();
        let index = 0..names.len();
        let mapping = (index.clone(), channel(), any::<bool>(), index, channel());
        (Just(names), vec(mapping, 0..20))
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        load(file.path(), &Overrides::default(), BACKENDS).diagnostics.render(true);
    }

    #[test]
    fn no_text_makes_it_panic(fragments in vec(fragment(), 0..200)) {
        let loaded = text(&fragments.concat());
        loaded.diagnostics.render(false);
        for mapping in &loaded.show.mappings {
            for end in [mapping.from, mapping.to] {
                prop_assert!(end.channel < loaded.show.instances[end.instance].channels.len());
            }
        }
    }

    #[test]
    fn no_override_makes_it_panic(backend in vec(fragment(), 0..8), instance in "\\PC{0,20}") {
        let overrides = Overrides { backend: vec![backend.concat()], instance: vec![instance], may_be_unused: false };
        load_text(Path::new("s.cfg"), "[osc o]\n", &overrides, BACKENDS).diagnostics.render(false);
    }

    #[test]
    fn a_valid_show_means_what_it_says((names, lines) in a_show()) {
        let mut written: String = names.iter().map(|name| format!("[loopback {name}]\n")).collect();
        written.push_str("[map]\n");
        let mut expected = Vec::new();
        for (left, from, forwards, right, to) in &lines {
            let (left, right) = (format!("{}.{from}", names[*left]), format!("{}.{to}", names[*right]));
            written.push_str(&format!("{left} {} {right}\n", if *forwards { '>' } else { '<' }));
            let (from, to) = if *forwards { (left, right) } else { (right, left) };
            let mapping = format!("{from} > {to}");
            if !expected.contains(&mapping) {
                expected.push(mapping);
            }
        }
        let loaded = text(&written);
        prop_assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
        prop_assert_eq!(mappings(&loaded.show), expected);
        prop_assert!(loaded.show.instances.iter().all(|instance| instance.backend == "loopback"));
    }

    #[test]
    fn an_expansion_has_the_product_of_its_sizes(first in 0u64..50, second in 0u64..50, list in vec(name(), 2..6)) {
        let line = format!("[loopback l]\n[loopback m]\n[map]\nl.{{{first}..{second}}}:{{{}}} > m.x\n", list.join(","));
        let loaded = text(&line);
        let distinct: std::collections::HashSet<_> = list.iter().collect();
        let expected = (first.abs_diff(second) + 1) as usize * distinct.len();
        prop_assert_eq!(loaded.show.mappings.len(), expected);
        prop_assert_eq!(loaded.show.instances[0].channels.len(), expected);
    }
}
