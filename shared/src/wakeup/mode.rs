//! The switch: with the heuristics, or without.
//!
//! It is an environment variable and not an option of the show file, since it is for finding faults
//! and for benches, and has to hold for the supervisor and all its workers from their first event
//! on. A worker has the environment of its supervisor.

use std::ffi::OsStr;
use std::fmt;
use std::sync::OnceLock;
use thiserror::Error;

/// The environment variable that holds the mode: `adaptive` (also when it is empty or not set) or
/// `plain`.
pub const WAKEUP_VARIABLE: &str = "MM_WAKEUP";

/// Whether the heuristics are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WakeupMode {
    /// Polls, naps, pins and moves where that is likely to pay.
    #[default]
    Adaptive,
    /// Blocks until a doorbell is rung, and rings for every consumer that sleeps.
    Plain,
}

/// The environment variable holds another word.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a wake-up mode; use `adaptive` or `plain`")]
pub struct UnknownWakeupMode(String);

impl WakeupMode {
    /// The mode that the environment asks for.
    ///
    /// # Errors
    ///
    /// [`UnknownWakeupMode`].
    pub fn from_env() -> Result<Self, UnknownWakeupMode> {
        std::env::var_os(WAKEUP_VARIABLE).map_or(Ok(Self::Adaptive), |word| Self::parse(&word))
    }

    /// The mode of this process: what the environment asked for when this was called first. An
    /// unknown word is `adaptive` here; the supervisor refuses to start with it.
    pub fn of_process() -> Self {
        static MODE: OnceLock<WakeupMode> = OnceLock::new();
        *MODE.get_or_init(|| Self::from_env().unwrap_or_default())
    }

    /// Whether the heuristics are used.
    pub fn is_adaptive(self) -> bool {
        self == Self::Adaptive
    }

    fn parse(word: &OsStr) -> Result<Self, UnknownWakeupMode> {
        match word.to_str() {
            Some("" | "adaptive") => Ok(Self::Adaptive),
            Some("plain") => Ok(Self::Plain),
            _ => Err(UnknownWakeupMode(word.to_string_lossy().into_owned())),
        }
    }
}

impl fmt::Display for WakeupMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Adaptive => "adaptive",
            Self::Plain => "plain",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_back_as_itself_and_another_word_is_refused() {
        for mode in [WakeupMode::Adaptive, WakeupMode::Plain] {
            assert_eq!(WakeupMode::parse(mode.to_string().as_ref()), Ok(mode));
        }
        assert_eq!(WakeupMode::parse("".as_ref()), Ok(WakeupMode::Adaptive));
        assert_eq!(WakeupMode::parse("off".as_ref()), Err(UnknownWakeupMode("off".into())));
    }
}
