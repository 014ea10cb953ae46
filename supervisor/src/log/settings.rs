//! What the log looks like: format, colour, level, and what the cx make of it.

use nix::sys::stat::fstat;
use std::env;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;
use tracing::level_filters::LevelFilter;

/// How to log. The default is what suits the cx, from level `info` up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// One of the formats; the command line's `--log-format`.
    pub format: Format,
    /// Whether text has colours.
    pub color: Color,
    /// The least important level that is logged; `--log-level` or `MM_LOG`.
    pub level: LevelFilter,
}

impl Default for Settings {
    fn default() -> Self {
        Self { format: Format::Auto, color: Color::Auto, level: LevelFilter::INFO }
    }
}

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// [`Format::Journal`] where standard error is the journal's, else [`Format::Text`].
    #[default]
    Auto,
    /// Time, level, instance, message, fields.
    Text,
    /// Text for systemd's journal: the priority in front of each line, and no time, which the journal has.
    Journal,
    /// One JSON object an event.
    Json,
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is a dumb one.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A word that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is none of {known}")]
pub struct UnknownSetting {
    word: String,
    known: &'static str,
}

impl FromStr for Format {
    type Err = UnknownSetting;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "journal" => Ok(Self::Journal),
            "json" => Ok(Self::Json),
            _ => Err(UnknownSetting { word: word.into(), known: "`auto`, `text`, `journal`, `json`" }),
        }
    }
}

/// Reads a level: `off`, `error`, `warn`, `info`, `debug` or `trace`.
///
/// # Errors
///
/// When it is another word.
pub fn parse_level(word: &str) -> Result<LevelFilter, UnknownSetting> {
    match word.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" | "warning" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(UnknownSetting {
            word: word.into(),
            known: "`off`, `error`, `warn`, `info`, `debug`, `trace`",
        }),
    }
}

/// What [`Settings`] come to where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A line for a person. A terminal shows the time of day; in a file, which may cover weeks, the date matters too.
    Text { color: bool, date: bool },
    /// A line for the journal.
    Journal,
    /// A line for a machine.
    Json,
}

/// What is known of the place where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct LoopContext {
    terminal: bool,
    color_unwanted: bool,
    journal: bool,
}

impl Settings {
    /// The style on standard error as it is now.
    pub(super) fn style_for_stderr(self) -> Style {
        self.style(LoopContext {
            terminal: io::stderr().is_terminal(),
            color_unwanted: color_is_unwanted(),
            journal: stderr_is_the_journal(),
        })
    }

    /// The style for a writer of which nothing is known.
    pub(super) fn style_for_sink(self) -> Style {
        self.style(LoopContext::default())
    }

    fn style(self, around: LoopContext) -> Style {
        let color = match self.color {
            Color::Auto => around.terminal && !around.color_unwanted,
            Color::Always => true,
            Color::Never => false,
        };
        match self.format {
            Format::Auto if around.journal => Style::Journal,
            Format::Auto | Format::Text => Style::Text { color, date: !around.terminal },
            Format::Journal => Style::Journal,
            Format::Json => Style::Json,
        }
    }
}

fn color_is_unwanted() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|value| value == "dumb")
}

/// systemd names the device and inode of the journal's stream, because standard error may have been sent elsewhere since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::{Color, Format, LoopContext, Settings, Style, parse_level};
    use tracing::level_filters::LevelFilter;

    const TERMINAL: LoopContext = LoopContext { terminal: true, color_unwanted: false, journal: false };
    const JOURNAL: LoopContext = LoopContext { terminal: false, color_unwanted: false, journal: true };

    #[test]
    fn only_a_terminal_gets_colour_by_itself() {
        let settings = Settings::default();
        assert_eq!(settings.style(TERMINAL), Style::Text { color: true, date: false });
        assert_eq!(settings.style(LoopContext::default()), Style::Text { color: false, date: true });
        let unwanted = LoopContext { color_unwanted: true, ..TERMINAL };
        assert_eq!(settings.style(unwanted), Style::Text { color: false, date: false });
    }

    #[test]
    fn colour_can_be_asked_for_and_refused() {
        let always = Settings { color: Color::Always, ..Settings::default() };
        assert_eq!(always.style(LoopContext::default()), Style::Text { color: true, date: true });
        let never = Settings { color: Color::Never, ..Settings::default() };
        assert_eq!(never.style(TERMINAL), Style::Text { color: false, date: false });
    }

    #[test]
    fn the_journal_is_found_but_a_named_format_wins() {
        assert_eq!(Settings::default().style(JOURNAL), Style::Journal);
        let json = Settings { format: Format::Json, ..Settings::default() };
        assert_eq!(json.style(JOURNAL), Style::Json);
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        assert_eq!(parse_level("Debug"), Ok(LevelFilter::DEBUG));
        let error = parse_level("loud").unwrap_err().to_string();
        assert_eq!(error, "`loud` is none of `off`, `error`, `warn`, `info`, `debug`, `trace`");
        assert!("xml".parse::<Format>().unwrap_err().to_string().contains("`json`"));
    }
}
