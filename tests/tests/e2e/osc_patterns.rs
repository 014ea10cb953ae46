//! Patterns of the `osc` backend: each kind decides the format of what goes out.

use mm_tests::TestShow;
use mm_tests::osc::{Argument, F, I, Message};

/// Sends 0.5 to a channel `path` of an instance with this pattern for integers from 0 to 100, and
/// behind it patterns of any path for floats. The type of what comes out shows which pattern
/// matched.
fn sent(pattern: &str, path: &str) -> Argument {
    let stage = TestShow::new();
    let any = "/* = f 0 1\n/*/* = f 0 1\n/*/*/* = f 0 1\n";
    stage.show(&format!(
        "[osc net]\nbind = $IN\ndest = $OUT\n/kick = f 0 1\n{pattern} = i 0 100\n{any}[map]\nnet./kick > net.{path}"
    ));
    let show = stage.run();
    show.send("/kick", &[F(0.5)]);
    let message = show.peer().receive();
    assert_eq!(message.path, path);
    show.stop();
    message.arguments[0]
}

fn matches(pattern: &str, path: &str) -> bool {
    match sent(pattern, path) {
        I(50) => true,
        F(_) => false,
        other => panic!("{other:?} is of neither pattern"),
    }
}

#[test]
fn a_question_mark_is_one_character() {
    assert!(matches("/a?c", "/abc"));
    assert!(!matches("/a?c", "/abbc"));
}

#[test]
fn a_star_is_any_number_of_characters_but_no_slash() {
    assert!(matches("/fader*", "/fader12"));
    assert!(matches("/fader*", "/fader"));
    assert!(matches("/*/level", "/fader/level"));
    assert!(!matches("/fader*", "/fader/level"));
}

#[test]
fn brackets_are_one_character_of_a_set() {
    assert!(matches("/ch[0-4]", "/ch3"));
    assert!(!matches("/ch[0-4]", "/ch7"));
    assert!(matches("/ch[abx]", "/chx"));
}

#[test]
fn an_exclamation_mark_turns_a_set_around() {
    assert!(matches("/ch[!x]", "/chy"));
    assert!(!matches("/ch[!x]", "/chx"));
}

#[test]
fn braces_are_one_word_of_several() {
    assert!(matches("/{left,right}/x", "/right/x"));
    assert!(!matches("/{left,right}/x", "/middle/x"));
}

#[test]
fn the_first_pattern_in_the_file_wins() {
    // `/kick = f 0 1` stands in front.
    assert!(!matches("/k*", "/kick"));
    assert!(matches("/k*", "/kiss"));
}

#[test]
fn a_longer_pattern_gives_the_format_where_no_other_matches_with_a_warning() {
    let stage = TestShow::new();
    stage.show(
        "[osc net]\nbind = $IN\ndest = $OUT\n/kick = f 0 1\n/ch/*/dyn/thr/f = i 0 100\n\
         [map]\nnet./kick > net./ch/01/dyn/thr\nnet./kick > net./ch/02/dyn/thr",
    );
    let show = stage.run();
    show.send("/kick", &[F(0.5)]);
    for path in ["/ch/01/dyn/thr", "/ch/02/dyn/thr"] {
        assert_eq!(show.peer().receive(), Message { path: path.into(), arguments: vec![I(50)] });
    }
    let ended = show.stop();
    let warning = "the format of `/ch/01/dyn/thr` is taken from a longer pattern";
    assert!(ended.text.contains(warning), "{}", ended.text);
    assert_eq!(ended.text.matches("is taken from a longer pattern").count(), 1);
    assert!(ended.text.contains("add the line `/ch/*/dyn/thr = i 0 100`"), "{}", ended.text);
}
