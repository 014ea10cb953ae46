//! The `mm-supervisor` command.

#![forbid(unsafe_code)]

use mm_shared::sys::process;
use mm_supervisor::cli::{Cli, Verb};
use mm_supervisor::control::client;
use mm_supervisor::control::request::InstanceCommand;
use mm_supervisor::{check, reaper, startup};
use std::process::ExitCode;

fn main() -> ExitCode {
    // It fails for no signal that there is; the reaper resets its own once more.
    let _ = process::reset_inherited_signals();
    let cli = Cli::from_command_line();
    match cli.verb {
        None => startup::run(&cli.run),
        Some(Verb::Check(args)) => check::run(&args),
        Some(Verb::Status(args)) => client::status(&args),
        Some(Verb::Restart(args)) => client::command(InstanceCommand::Restart, &args),
        Some(Verb::Reload(args)) => client::command(InstanceCommand::Reload, &args),
        Some(Verb::Stop(args)) => client::command(InstanceCommand::Stop, &args),
        Some(Verb::Start(args)) => client::command(InstanceCommand::Start, &args),
        Some(Verb::Get(args)) => client::get(&args),
        Some(Verb::Quit(args)) => client::quit(&args),
        Some(Verb::Send(args)) => client::send(&args),
        Some(Verb::Monitor(args)) => client::monitor(&args),
        Some(Verb::Reaper) => reaper::run(),
    }
}
