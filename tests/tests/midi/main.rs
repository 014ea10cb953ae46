//! The `midi` backend: against JACK with real peers, and without any MIDI system.

mod example;
mod jack;
mod names;
mod rig;
mod silence;
mod unplugging;
mod wire;
