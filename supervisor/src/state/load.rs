//! Reading the state file at a start. There is no error: a show starts without saved values rather than not at all.

use super::file::{self, Content};
use super::{KIND, LIMIT, Saved};
use mm_shared::frame;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Unusable files that are kept; the oldest goes.
pub(super) const KEPT: u32 = 5;

/// What a start knows of the last run.
#[derive(Debug, Default, PartialEq)]
pub struct Loaded {
    /// The values, none where there is no usable file.
    pub saved: Saved,
    /// What was wrong with the file, for the log.
    pub warning: Option<String>,
}

/// Reads the state file. A missing one is nothing; one that cannot be used is put aside, as `NAME.damaged-1`.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    // what is put aside is the file, not a link to it
    let path = &file::real(path);
    match file::read(path, LIMIT + frame::HEADER) {
        Ok(Content::Missing) => Loaded::default(),
        Ok(Content::TooLarge(size)) => unusable(path, &format!("it has {size} bytes, which is too large")),
        Ok(Content::Bytes(bytes)) => match decode(&bytes) {
            Ok(saved) => Loaded { saved, warning: None },
            Err(reason) => unusable(path, &reason),
        },
        Err(error) => nothing(format!("the state file `{}` cannot be read: {error}", path.display())),
    }
}

fn decode(bytes: &[u8]) -> Result<Saved, String> {
    let saved: Saved = frame::decode(KIND, LIMIT, bytes).map_err(|error| error.to_string())?;
    if saved.is_sound() { Ok(saved) } else { Err("it has values that no channel can have".to_owned()) }
}

fn unusable(path: &Path, reason: &str) -> Loaded {
    let what = format!("the state file `{}` is not usable: {reason}", path.display());
    nothing(match put_aside(path) {
        Ok(aside) => format!("{what}; it is now `{}`", aside.display()),
        Err(error) => format!("{what}; it cannot be put aside: {error}"),
    })
}

fn nothing(what: String) -> Loaded {
    let warning = Some(format!("{what}; the show starts without the values from before"));
    Loaded { saved: Saved::default(), warning }
}

/// Renames the file. The latest that was put aside has the lowest number.
fn put_aside(path: &Path) -> io::Result<PathBuf> {
    for number in (1..KEPT).rev() {
        match fs::rename(aside(path, number), aside(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let first = aside(path, 1);
    fs::rename(path, &first)?;
    Ok(first)
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".damaged-{number}"));
    PathBuf::from(name)
}
