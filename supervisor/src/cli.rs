//! The command line as types.

use crate::control::args::{CommandArgs, GetArgs, MonitorArgs, QuitArgs, SendArgs, StatusArgs};
use crate::log::{LogFormat, LogSettings, UnknownSetting, parse_level};
use crate::stderr::print_line;
use clap::{Args, CommandFactory, Parser, Subcommand};
use mm_config::Overrides;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tracing::level_filters::LevelFilter;

/// Run a show file, with a process of its own for each Python instance, or control a running show.
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
    /// Check a show file and import its scripts, without opening any port
    Check(CheckArgs),
    /// Show the status of all instances, or of one in detail
    Status(StatusArgs),
    /// Show the last values of channels
    Get(GetArgs),
    /// Stop and start one or more instances
    Restart(CommandArgs),
    /// Replace the scripts of one or more instances without interruption
    ///
    /// An instance whose new script cannot be imported keeps running the previous one.
    Reload(CommandArgs),
    /// Stop one or more instances
    Stop(CommandArgs),
    /// Start one or more instances
    Start(CommandArgs),
    /// End the show, as Ctrl-C does
    Quit(QuitArgs),
    /// Send an event, as if it had come in on a channel, or put a value out on one
    Send(SendArgs),
    /// Print events as they pass
    Monitor(MonitorArgs),
    /// Run as the parent of a show's workers; started by the supervisor
    #[command(hide = true)]
    Reaper,
}

impl Cli {
    /// Parses the command line of this process; prints help and errors itself, and exits then.
    #[must_use]
    pub fn from_command_line() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        let mut command = Self::command();
        command.build();
        if let Some((word, hint)) = mistyped_verb(&command, &words) {
            print_line(&format!("error: `{word}` is neither a verb nor a show file"));
            print_line(&format!("hint: {hint}"));
            std::process::exit(2);
        }
        Self::parse_from(verb_first(&command, words))
    }
}

/// Moves the verb in front of the options that stand before it, where the parser expects it.
fn verb_first(command: &clap::Command, mut words: Vec<OsString>) -> Vec<OsString> {
    // only the first word can be a verb: behind it, the same word may name an instance
    if let Some(place) = first_word(command, &words)
        && command.get_subcommands().any(|verb| words[place] == verb.get_name())
    {
        words[1..=place].rotate_right(1);
    }
    words
}

/// Where the first word is that is neither an option nor the value of one.
fn first_word(command: &clap::Command, words: &[OsString]) -> Option<usize> {
    let mut place = 1;
    while let Some(word) = words.get(place).filter(|word| *word != "--") {
        if !word.as_encoded_bytes().starts_with(b"-") {
            return Some(place);
        }
        place += if takes_next_word(command, word) { 2 } else { 1 };
    }
    None
}

/// The first word, if it is close to a verb and not a file, and the hint for it.
fn mistyped_verb<'a>(command: &clap::Command, words: &'a [OsString]) -> Option<(&'a str, String)> {
    let word = words[first_word(command, words)?].to_str()?;
    let verbs = || command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    if verbs().any(|verb| verb == word) || word.contains(['.', '/']) || Path::new(word).exists() {
        return None;
    }
    Some((word, mm_config::did_you_mean(word, verbs())?))
}

/// Whether the value of an option is the word behind it.
fn takes_next_word(command: &clap::Command, option: &OsStr) -> bool {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    let mut options = commands.flat_map(clap::Command::get_arguments);
    options.any(|argument| {
        let long = argument.get_long().is_some_and(|name| option == format!("--{name}").as_str());
        let short = argument.get_short().is_some_and(|name| option == format!("-{name}").as_str());
        (long || short) && argument.get_action().takes_values()
    })
}

/// The show file and the options set on the command line.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Show file
    #[arg(value_name = "SHOW")]
    pub show: Option<PathBuf>,
    /// Show file; the same as SHOW
    #[arg(short, long, value_name = "SHOW", conflicts_with = "show")]
    pub config: Option<PathBuf>,
    /// Set an option of a backend, unless the show file sets it
    #[arg(short, long = "backend", value_name = "BACKEND.OPTION=VALUE", allow_hyphen_values = true)]
    pub backend: Vec<String>,
    /// Set an option of an instance, unless the show file sets it
    #[arg(short, long = "instance", value_name = "INSTANCE.OPTION=VALUE", allow_hyphen_values = true)]
    pub instance: Vec<String>,
}

impl ShowArgs {
    /// The path of the show file.
    #[must_use]
    pub fn path(&self) -> Option<&PathBuf> {
        self.config.as_ref().or(self.show.as_ref())
    }

    /// The options set on the command line.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides { backend: self.backend.clone(), instance: self.instance.clone(), may_be_unused: false }
    }
}

/// How to run a show.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The show file
    #[command(flatten)]
    pub show: ShowArgs,
    /// The log
    #[command(flatten)]
    pub log: LogArgs,
    /// Path of the control socket [default: as the show file sets it, or in the runtime directory]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// If the show file has errors, run the last show that was good
    #[arg(long)]
    pub last_good: bool,
    /// Directory that keeps a copy of the last good show file [default: as the show file sets it]
    #[arg(long, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
    /// Keep running when the terminal is closed: HUP reads the show file again there, too
    #[arg(long)]
    pub keep_running: bool,
}

/// How to check a show.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The show file
    #[command(flatten)]
    pub show: ShowArgs,
    /// The log
    #[command(flatten)]
    pub log: LogArgs,
    /// Treat warnings as errors: exit status 2
    #[arg(long)]
    pub strict: bool,
}

/// The settings of the log.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Format of the log: auto, text, journal or json
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = LogFormat::from_str)]
    pub log_format: LogFormat,
    /// Most detailed level of the log: off, error, warn, info, debug or trace [default: `$MM_LOG`, or
    /// info]
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    pub log_level: Option<LevelFilter>,
}

impl LogArgs {
    /// The log's settings, from the command line or else from the environment.
    ///
    /// # Errors
    ///
    /// `MM_LOG` is not a level.
    pub fn settings(&self) -> Result<LogSettings, UnknownSetting> {
        let level = match (self.log_level, std::env::var("MM_LOG")) {
            (Some(level), _) => level,
            (None, Ok(word)) if !word.is_empty() => parse_level(&word)?,
            (None, _) => LogSettings::default().level,
        };
        Ok(LogSettings { format: self.log_format, level, ..LogSettings::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_the_verb() {
        let mut command = Cli::command();
        command.build();
        for (written, parsed) in [
            ("status --socket /s", "status --socket /s"),
            ("--socket /s status", "status --socket /s"),
            ("--socket=/s --json status", "status --socket=/s --json"),
            ("-i a.b=c -b x.y=z -c s.cfg check", "check -i a.b=c -b x.y=z -c s.cfg"),
            ("-ia.b=c --log-level debug check s.cfg", "check -ia.b=c --log-level debug s.cfg"),
            ("--help status", "status --help"),
            // not verbs
            ("-c status", "-c status"),
            ("show.cfg status", "show.cfg status"),
            ("restart status", "restart status"),
            ("--socket /s -- status", "--socket /s -- status"),
            ("", ""),
        ] {
            let words = |text: &str| -> Vec<OsString> {
                std::iter::once("mm").chain(text.split_whitespace()).map(OsString::from).collect()
            };
            assert_eq!(verb_first(&command, words(written)), words(parsed), "{written}");
        }
    }

    #[test]
    fn a_mistyped_verb_is_recognised_where_it_is_not_a_file() {
        let mut command = Cli::command();
        command.build();
        let hint = |text: &str| {
            let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            mistyped_verb(&command, &words).map(|(_, hint)| hint)
        };
        for text in ["mm stauts", "mm --json Status", "mm --socket /s sttaus --json"] {
            assert_eq!(hint(text).as_deref(), Some("did you mean `status`?"), "{text}");
        }
        assert_eq!(hint("mm retsart py").as_deref(), Some("did you mean `restart`?"));
        for text in
            ["mm status", "mm status stauts", "mm -c stauts", "mm gallery", "mm status.cfg", "mm repaer"]
        {
            assert_eq!(hint(text), None, "{text}");
        }
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
