//! The first words of section headers: those of the language, and the names of backends that the
//! program has or lacks.

use crate::options::BackendSpec;

/// The first words of headers that do not name a backend.
pub(crate) const WORDS: [&str; 4] = ["map", "supervisor", "backend", "include"];

/// Backends of MIDIMonster that are planned here. One that the program has does not count as
/// missing.
pub(crate) const NOT_YET: [&str; 2] = ["artnet", "sacn"];

/// Backends of MIDIMonster that have no counterpart here.
pub(crate) const ELSEWHERE: [&str; 12] = [
    "atem",
    "evdev",
    "jack",
    "lua",
    "maweb",
    "mqtt",
    "ola",
    "openpixelcontrol",
    "rtpmidi",
    "visca",
    "wininput",
    "winmidi",
];

/// Whether a word in a header is the name of a backend, known or planned.
pub(crate) fn is_backend_name(word: &str, backends: &[BackendSpec]) -> bool {
    backends.iter().any(|backend| backend.name == word)
        || NOT_YET.contains(&word)
        || ELSEWHERE.contains(&word)
}
