//! One Python interpreter of a show, in a process of its own.
//!
//! The supervisor starts it with the descriptors of its data plane, and sends over the control
//! channel which instance it is. [`run`] has the order of its life, [`dispatch`] the main loop,
//! [`python`] everything about Python.

mod args;

mod error;
mod exit;
mod term;

mod startup;

mod zombies;

mod run;

mod link;

mod dispatch;

mod python;

use args::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Version) => {
            println!("{}", startup::version());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Serve(args)) => startup::start(&args).and_then(|process| run::live(process, &args)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("mm-worker: {error}");
            ExitCode::FAILURE
        }
    }
}
