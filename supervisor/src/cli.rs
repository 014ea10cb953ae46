//! The command line: what it may say, as types.

use crate::control::args::{CommandArgs, MonitorArgs, SendArgs, StatusArgs};
use crate::log::{LogFormat, LogSettings, UnknownSetting, parse_level};
use clap::{Args, Parser, Subcommand};
use mm_config::Overrides;
use std::path::PathBuf;
use std::str::FromStr;
use tracing::level_filters::LevelFilter;

/// Runs show files with a process of its own for every Python instance.
#[derive(Debug, Parser)]
#[command(name = "mm-supervisor", version, about, args_conflicts_with_subcommands = true)]
#[command(subcommand_precedence_over_arg = true)]
pub struct Cli {
    /// What to do instead of running a show
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// How to run a show
    #[command(flatten)]
    pub run: RunArgs,
}

/// What the program does besides running a show.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Validate a show file and import its scripts, without opening a port
    Check(CheckArgs),
    /// Show how the instances of the running show are
    Status(StatusArgs),
    /// Stop instances of the running show, then start them
    Restart(CommandArgs),
    /// Replace the scripts of instances without a gap; if a script fails to import, the old one goes on
    Reload(CommandArgs),
    /// Stop instances of the running show
    Stop(CommandArgs),
    /// Start instances of the running show
    Start(CommandArgs),
    /// Put an event into the running show, as if it had come in on a channel
    Send(SendArgs),
    /// Print the events of the running show as they pass
    Monitor(MonitorArgs),
    /// Be the parent of a running show's workers, which the supervisor starts by itself
    #[command(hide = true)]
    Reaper,
}

/// Which show file, with what changed.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The show file
    #[arg(value_name = "SHOW")]
    pub show: Option<PathBuf>,
    /// The show file
    #[arg(short, long, value_name = "SHOW", conflicts_with = "show")]
    pub config: Option<PathBuf>,
    /// Set a backend's option, before what the show file says
    #[arg(short, long = "backend", value_name = "BACKEND.OPTION=VALUE", allow_hyphen_values = true)]
    pub backend: Vec<String>,
    /// Set an instance's option, before what the show file says
    #[arg(short, long = "instance", value_name = "INSTANCE.OPTION=VALUE", allow_hyphen_values = true)]
    pub instance: Vec<String>,
}

impl ShowArgs {
    /// The show file's path, however it was given.
    #[must_use]
    pub fn path(&self) -> Option<&PathBuf> {
        self.config.as_ref().or(self.show.as_ref())
    }

    /// The options set on the command line.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides { backend: self.backend.clone(), instance: self.instance.clone() }
    }
}

/// How to run a show.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Which show
    #[command(flatten)]
    pub show: ShowArgs,
    /// How to log
    #[command(flatten)]
    pub log: LogArgs,
    /// Where the control socket is to be, instead of what the show says or the default
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// How to check a show.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which show
    #[command(flatten)]
    pub show: ShowArgs,
    /// How to log
    #[command(flatten)]
    pub log: LogArgs,
}

/// How to log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// How a line of the log looks: auto, text, journal or json
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = LogFormat::from_str)]
    pub log_format: LogFormat,
    /// How much goes to the log: error, warn, info, debug or trace; without it `MM_LOG` says, or else info
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    pub log_level: Option<LevelFilter>,
}

impl LogArgs {
    /// The log's settings, from the command line or else from the environment.
    ///
    /// # Errors
    ///
    /// `MM_LOG` holds a word that is no level.
    pub fn settings(&self) -> Result<LogSettings, UnknownSetting> {
        let level = match (self.log_level, std::env::var("MM_LOG")) {
            (Some(level), _) => level,
            (None, Ok(word)) => parse_level(&word)?,
            (None, Err(_)) => LogSettings::default().level,
        };
        Ok(LogSettings { format: self.log_format, level, ..LogSettings::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_show_file_can_be_named_with_and_without_its_flag() {
        for words in [["mm-supervisor", "--config", "show.cfg"].as_slice(), &["mm-supervisor", "show.cfg"]] {
            let cli = Cli::try_parse_from(words).unwrap();
            assert!(cli.verb.is_none());
            assert_eq!(cli.run.show.path(), Some(&PathBuf::from("show.cfg")));
        }
    }

    #[test]
    fn overrides_accumulate_and_may_hold_anything() {
        let words =
            ["mm-supervisor", "-i", "py.module=a", "-i", "osc.root=-x", "-b", "osc.detect=on", "s.cfg"];
        let overrides = Cli::try_parse_from(words).unwrap().run.show.overrides();
        assert_eq!(overrides.instance, ["py.module=a", "osc.root=-x"]);
        assert_eq!(overrides.backend, ["osc.detect=on"]);
    }
}
