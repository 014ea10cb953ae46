//! The first words of section headers: those of the language, and the names of backends that the
//! program has or lacks.

use crate::options::BackendSpec;

/// The first words of headers that do not name a backend.
pub(crate) const WORDS: [&str; 4] = ["map", "supervisor", "backend", "include"];

/// A backend of MIDIMonster that a version of this program may lack. One that it has does not count.
pub(crate) struct ForeignBackend {
    pub name: &'static str,
    pub is_planned: bool,
    /// What to use in its place.
    pub substitute: Option<&'static str>,
}

const fn planned(name: &'static str) -> ForeignBackend {
    ForeignBackend { name, is_planned: true, substitute: None }
}

impl ForeignBackend {
    const fn or(self, substitute: &'static str) -> Self {
        Self { substitute: Some(substitute), ..self }
    }

    const fn not_planned(name: &'static str) -> Self {
        Self { name, is_planned: false, substitute: None }
    }
}

/// All of them, as its repository lists them in 2026.
pub(crate) const FOREIGN_BACKENDS: &[ForeignBackend] = &[
    planned("artnet"),
    ForeignBackend::not_planned("atem").or("a `python` instance, which can speak to the mixer"),
    planned("evdev"),
    ForeignBackend::not_planned("jack")
        .or("`midi` of a build with the feature `jack`, which does MIDI but no control voltages"),
    planned("lua").or("a `python` instance, until then"),
    ForeignBackend::not_planned("maweb").or("`osc` for a grandMA3, a `python` instance for older consoles"),
    planned("mqtt").or("a `python` instance with a package such as paho-mqtt, until then"),
    ForeignBackend::not_planned("ola").or("`artnet` or `sacn`, which `olad` speaks"),
    planned("openpixelcontrol"),
    planned("rtpmidi"),
    planned("sacn"),
    planned("visca"),
    ForeignBackend::not_planned("wininput").or("`evdev` on Linux, which is planned"),
    ForeignBackend::not_planned("winmidi").or("`midi` on Linux"),
];

/// The backend of MIDIMonster of this name.
pub(crate) fn foreign_backend(name: &str) -> Option<&'static ForeignBackend> {
    FOREIGN_BACKENDS.iter().find(|backend| backend.name == name)
}

/// Whether a word in a header is the name of a backend, of this program or of MIDIMonster.
pub(crate) fn is_backend_name(word: &str, backends: &[BackendSpec]) -> bool {
    backends.iter().any(|backend| backend.name == word) || foreign_backend(word).is_some()
}
