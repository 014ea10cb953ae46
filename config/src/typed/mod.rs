//! The options that are our own, as values: what `[python NAME]` and
//! `[supervisor]` say after defaults are filled in. Total, since a setting only
//! reaches the model when its value has been checked.

mod python;
mod supervisor;

pub use python::{Failsafe, MaxRestarts, ModuleRef, PythonOptions, RestartRule};
pub use supervisor::{Priority, SupervisorOptions};

use std::path::PathBuf;

use crate::model::Setting;

/// The path that a setting names.
fn absolute(setting: &Setting) -> PathBuf {
    setting.directory.join(&setting.value.value)
}
