//! What the log looks like: format, colour, level, and how they depend on where standard error
//! goes.

use super::record::SCRIPT;
use crate::terminal::wants_color;
use nix::sys::stat::fstat;
use std::env;
use std::io::{self, IsTerminal as _};
use std::str::FromStr;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// How to log. The default suits the place where standard error goes, from level `info` up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// One of the formats; the command line's `--log-format`.
    pub format: LogFormat,
    /// Whether text has colours.
    pub color: LogColor,
    /// The least important level that is logged; `--log-level` or `MM_LOG`.
    pub level: LevelFilter,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Auto, color: LogColor::Auto, level: LevelFilter::INFO }
    }
}

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// [`LogFormat::Journal`] where standard error is the journal's, else [`LogFormat::Text`].
    #[default]
    Auto,
    /// Time, level, instance, message, fields.
    Text,
    /// Text for systemd's journal: the priority in front of each line, and no time, which the
    /// journal has.
    Journal,
    /// One JSON object per event.
    Json,
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogColor {
    /// On a terminal, unless `NO_COLOR` is set or the terminal is a dumb one.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A word that is not a known one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is none of {known}")]
pub struct UnknownSetting {
    word: String,
    known: &'static str,
}

impl FromStr for LogFormat {
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

/// What [`LogSettings`] come to where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogStyle {
    /// A line for a person. A terminal shows the time of day; in a file, which may cover weeks, the
    /// date matters too.
    Text { color: bool, date: bool },
    /// A line for the journal.
    Journal,
    /// A line for a machine.
    Json,
}

/// What is known of the stream that lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct StreamTraits {
    terminal: bool,
    color: bool,
    journal: bool,
}

impl LogSettings {
    /// The style on standard error as it is now.
    pub(super) fn style_for_stderr(self) -> LogStyle {
        self.style(StreamTraits {
            terminal: io::stderr().is_terminal(),
            color: wants_color(&io::stderr()),
            journal: stderr_is_the_journal(),
        })
    }

    /// The style for a writer of which nothing is known.
    pub(super) fn style_for_sink(self) -> LogStyle {
        self.style(StreamTraits::default())
    }

    /// What is logged. From `info` on all that scripts print is: what they want to report is theirs
    /// to decide, in `logging` and the like.
    pub(super) fn filter(self) -> Targets {
        let of_scripts = if self.level >= LevelFilter::INFO { LevelFilter::TRACE } else { self.level };
        Targets::new().with_default(self.level).with_target(SCRIPT, of_scripts)
    }

    fn style(self, stream: StreamTraits) -> LogStyle {
        let color = match self.color {
            LogColor::Auto => stream.color,
            LogColor::Always => true,
            LogColor::Never => false,
        };
        match self.format {
            LogFormat::Auto if stream.journal => LogStyle::Journal,
            LogFormat::Auto | LogFormat::Text => LogStyle::Text { color, date: !stream.terminal },
            LogFormat::Journal => LogStyle::Journal,
            LogFormat::Json => LogStyle::Json,
        }
    }
}

/// systemd passes the device and inode of the journal's stream (systemd.exec(5)), because standard
/// error may have been redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::{LogColor, LogFormat, LogSettings, LogStyle, StreamTraits, parse_level};
    use tracing::level_filters::LevelFilter;

    const TERMINAL: StreamTraits = StreamTraits { terminal: true, color: true, journal: false };
    const JOURNAL: StreamTraits = StreamTraits { terminal: false, color: false, journal: true };

    #[test]
    fn only_a_terminal_gets_colour_by_itself() {
        let settings = LogSettings::default();
        assert_eq!(settings.style(TERMINAL), LogStyle::Text { color: true, date: false });
        assert_eq!(settings.style(StreamTraits::default()), LogStyle::Text { color: false, date: true });
        let unwanted = StreamTraits { color: false, ..TERMINAL };
        assert_eq!(settings.style(unwanted), LogStyle::Text { color: false, date: false });
    }

    #[test]
    fn colour_can_be_asked_for_and_refused() {
        let always = LogSettings { color: LogColor::Always, ..LogSettings::default() };
        assert_eq!(always.style(StreamTraits::default()), LogStyle::Text { color: true, date: true });
        let never = LogSettings { color: LogColor::Never, ..LogSettings::default() };
        assert_eq!(never.style(TERMINAL), LogStyle::Text { color: false, date: false });
    }

    #[test]
    fn the_journal_is_found_but_a_named_format_wins() {
        assert_eq!(LogSettings::default().style(JOURNAL), LogStyle::Journal);
        let json = LogSettings { format: LogFormat::Json, ..LogSettings::default() };
        assert_eq!(json.style(JOURNAL), LogStyle::Json);
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        assert_eq!(parse_level("Debug"), Ok(LevelFilter::DEBUG));
        let error = parse_level("loud").unwrap_err().to_string();
        assert_eq!(error, "`loud` is none of `off`, `error`, `warn`, `info`, `debug`, `trace`");
        assert!("xml".parse::<LogFormat>().unwrap_err().to_string().contains("`json`"));
    }
}
