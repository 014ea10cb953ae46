//! The verbs that control a running show, as they are written on the command line.

use super::protocol::split_channel;
use clap::Args;
use std::path::PathBuf;

/// Which running show, and how to print.
#[derive(Debug, Clone, Default, Args)]
pub struct SocketArgs {
    /// Path of the control socket; rarely needed, since running shows are found
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Name or file of the show; only needed if several shows are running
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    pub show: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `status`.
#[derive(Debug, Clone, Default, Args)]
pub struct StatusArgs {
    /// One instance in detail: its last lines of the log, its channels and mappings
    #[arg(value_name = "INSTANCE")]
    pub instance: Option<String>,
    /// The show
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// The arguments of `restart`, `reload`, `stop` and `start`.
#[derive(Debug, Clone, Default, Args)]
pub struct CommandArgs {
    /// Names of the instances
    #[arg(value_name = "INSTANCE", required_unless_present = "all")]
    pub instances: Vec<String>,
    /// All instances of `python`
    #[arg(long, conflicts_with = "instances")]
    pub all: bool,
    /// The show
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// The arguments of `get`.
#[derive(Debug, Clone, Default, Args)]
pub struct GetArgs {
    /// Channels
    #[arg(value_name = "INSTANCE.CHANNEL", value_parser = channel, required = true)]
    pub channels: Vec<String>,
    /// The show
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// The arguments of `quit`.
#[derive(Debug, Clone, Default, Args)]
pub struct QuitArgs {
    /// The show
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// The arguments of `send`.
#[derive(Debug, Clone, Default, Args)]
pub struct SendArgs {
    /// Put the value out on the channel, to the lamp or to where a script's channel is mapped
    #[arg(long)]
    pub out: bool,
    /// Channel that the event comes in on, or goes out on
    #[arg(value_name = "INSTANCE.CHANNEL", value_parser = channel)]
    pub channel: String,
    /// Value of the event, from 0.0 to 1.0
    #[arg(value_name = "VALUE", value_parser = value, allow_negative_numbers = true)]
    pub value: f64,
    /// The show
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// The arguments of `monitor`.
#[derive(Debug, Clone, Default, Args)]
pub struct MonitorArgs {
    /// Instance, or INSTANCE.CHANNEL, with `*` and `?` as wildcards; all channels without it
    #[arg(value_name = "PATTERN")]
    pub pattern: Option<String>,
    /// The show
    #[command(flatten)]
    pub socket: SocketArgs,
}

/// Why an argument is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum ArgumentError {
    #[error("a channel is written INSTANCE.CHANNEL")]
    Channel,
    #[error("a value is a number from 0.0 to 1.0")]
    Value,
}

fn channel(text: &str) -> Result<String, ArgumentError> {
    split_channel(text).map(|_| text.to_owned()).map_err(|_| ArgumentError::Channel)
}

fn value(text: &str) -> Result<f64, ArgumentError> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(ArgumentError::Value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, Subcommand};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(Debug, Subcommand)]
    enum Verb {
        Status(StatusArgs),
        Restart(CommandArgs),
        Send(SendArgs),
        Monitor(MonitorArgs),
    }

    fn parse(line: &str) -> Result<Verb, clap::Error> {
        Cli::try_parse_from(std::iter::once("mm").chain(line.split(' '))).map(|cli| cli.verb)
    }

    #[test]
    fn verbs_take_what_they_act_on_and_a_socket() {
        assert!(matches!(parse("status --json"), Ok(Verb::Status(args)) if args.socket.json));
        let verb = parse("restart a b --socket /x");
        let Ok(Verb::Restart(args)) = verb else { panic!("{verb:?}") };
        assert_eq!(args.instances, ["a", "b"]);
        assert_eq!(args.socket.socket, Some(PathBuf::from("/x")));
        let verb = parse("restart --all --show fade");
        let Ok(Verb::Restart(args)) = verb else { panic!("{verb:?}") };
        assert!(args.all && args.instances.is_empty() && args.socket.show.as_deref() == Some("fade"));
        assert!(matches!(parse("send --out a.m.f 0.25"), Ok(Verb::Send(args)) if args.out));
        let verb = parse("send a.m.f 0.25");
        let Ok(Verb::Send(args)) = verb else { panic!("{verb:?}") };
        assert_eq!((args.channel.as_str(), args.value), ("a.m.f", 0.25));
        assert!(matches!(parse("monitor a.*"), Ok(Verb::Monitor(args)) if args.pattern.is_some()));
    }

    #[test]
    fn what_makes_no_sense_is_an_error_of_usage() {
        for line in [
            "restart",
            "restart a --all",
            "restart a --show x --socket /s",
            "send a 0.5",
            "send a.b",
            "send a.b 1.5",
            "send a.b -1",
            "send a.b nan",
        ] {
            assert_eq!(parse(line).map_err(|error| error.exit_code()).unwrap_err(), 2, "{line}");
        }
    }
}
