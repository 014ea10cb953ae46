//! The command line. The supervisor writes it, never a user, so it is read without a library.
//!
//! ```text
//! mm-worker --parent PID --directory PATH --fds DOWN,UP,TO_WORKER,FROM_WORKER,SPACE,CONTROL --ring-sizes DOWN,UP [--venv PATH]
//! mm-worker --version
//! ```

use mm_shared::{RawFds, RingSizes};
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Print name and versions.
    Version,
    /// Serve an instance.
    Serve(Args),
}

/// What a worker needs before its control channel is connected.
#[derive(Debug, PartialEq)]
pub struct Args {
    /// The process that started this one. If it ends first, the kernel kills this one.
    pub parent: u32,
    /// Private directory for the socket where the supervisor connects.
    pub directory: PathBuf,
    /// Inherited descriptors.
    pub fds: RawFds,
    /// Sizes of the rings.
    pub ring_sizes: RingSizes,
    /// Virtual environment whose packages the interpreter finds.
    pub venv: Option<PathBuf>,
}

/// An error in the command line.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ArgsError {
    #[error("`{0}` is not an option\nhint: mm-worker is started by mm-supervisor, not by hand")]
    Unknown(String),
    #[error("`{0}` needs a value")]
    NoValue(String),
    #[error("`{option}` does not accept `{value}`")]
    BadValue { option: &'static str, value: String },
    #[error("`{0}` is missing\nhint: mm-worker is started by mm-supervisor, not by hand")]
    Missing(&'static str),
}

/// Reads the arguments, without the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, ArgsError> {
    let mut arguments = arguments.into_iter();
    let mut raw = RawArgs::default();
    while let Some(option) = arguments.next() {
        let option = option.to_string_lossy().into_owned();
        let slot = match option.as_str() {
            "--version" => return Ok(Command::Version),
            "--parent" => &mut raw.parent,
            "--directory" => &mut raw.directory,
            "--fds" => &mut raw.fds,
            "--ring-sizes" => &mut raw.ring_sizes,
            "--venv" => &mut raw.venv,
            _ => return Err(ArgsError::Unknown(option)),
        };
        *slot = Some(arguments.next().ok_or(ArgsError::NoValue(option))?);
    }
    raw.finish().map(Command::Serve)
}

/// The values as they stand on the command line.
#[derive(Default)]
struct RawArgs {
    parent: Option<OsString>,
    directory: Option<OsString>,
    fds: Option<OsString>,
    ring_sizes: Option<OsString>,
    venv: Option<OsString>,
}

impl RawArgs {
    fn finish(self) -> Result<Args, ArgsError> {
        Ok(Args {
            parent: value("--parent", self.parent)?,
            directory: self.directory.ok_or(ArgsError::Missing("--directory"))?.into(),
            fds: value("--fds", self.fds)?,
            ring_sizes: value("--ring-sizes", self.ring_sizes)?,
            venv: self.venv.map(PathBuf::from),
        })
    }
}

fn value<T: FromStr>(option: &'static str, raw: Option<OsString>) -> Result<T, ArgsError> {
    let raw = raw.ok_or(ArgsError::Missing(option))?;
    let text = raw.to_string_lossy();
    text.parse().map_err(|_| bad(option, &text))
}

fn bad(option: &'static str, value: &str) -> ArgsError {
    ArgsError::BadValue { option, value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Command, ArgsError> {
        parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_supervisors_command_line_is_understood() {
        let line = "--parent 7 --directory /tmp/x --fds 3,4,5,6,7,8 --ring-sizes 16,32 --venv /v";
        let expected = Args {
            parent: 7,
            directory: "/tmp/x".into(),
            fds: RawFds { down: 3, up: 4, bell_to_worker: 5, bell_from_worker: 6, space: 7, control: 8 },
            ring_sizes: RingSizes { down_slots: 16, up_slots: 32 },
            venv: Some("/v".into()),
        };
        assert_eq!(parse_words(line), Ok(Command::Serve(expected)));
    }

    #[test]
    fn too_few_descriptors_are_refused() {
        let line = "--parent 7 --directory x --fds 3,4,5 --ring-sizes 16,32";
        assert_eq!(parse_words(line), Err(bad("--fds", "3,4,5")));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(parse_words(""), Err(ArgsError::Missing("--parent")));
        assert_eq!(parse_words("--directory"), Err(ArgsError::NoValue("--directory".into())));
        assert_eq!(parse_words("--help"), Err(ArgsError::Unknown("--help".into())));
    }
}
