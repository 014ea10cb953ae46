//! Shows that another user runs, which root alone can start.

use crate::binaries::{supervisor, worker};
use crate::test_show::TestShow;
use nix::unistd::{Gid, Uid, chown};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Whether this user may start programs as another one.
#[must_use]
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Lets `command` run as the user and the group of this number.
pub fn run_as(command: &mut Command, user: u32) -> &mut Command {
    command.uid(user).gid(user)
}

impl TestShow {
    /// Gives the show's folder to another user, with copies of the programs if they are in a folder
    /// that this user may not enter, as a root's home is.
    ///
    /// # Errors
    ///
    /// What that user cannot start, even so: the Python that the worker was built with may be in
    /// such a folder, too.
    ///
    /// # Panics
    ///
    /// When this user is not root.
    pub fn hand_over(self, user: u32) -> Result<Self, String> {
        let mut stage = self;
        let programs = stage.directory().join("programs");
        if !can_start(&supervisor(), user) {
            fs::create_dir(&programs).expect("the stage is ours");
            for program in [supervisor(), worker()] {
                let name = program.file_name().expect("the name of a program");
                fs::copy(&program, programs.join(name)).expect("the stage is ours");
            }
            stage = stage.with_program(programs.join("mm-supervisor"));
        }
        stage.write("probe/probe.py", "");
        stage.write("probe/probe.cfg", "[python probe]\nmodule = probe\n");
        // This makes folders, too.
        let mut check = stage.command(&["check", &stage.path("probe/probe.cfg")]);
        fs::set_permissions(stage.directory(), Permissions::from_mode(0o755)).expect("the stage is ours");
        give(stage.directory(), user);
        let output = run_as(&mut check, user).output().expect("a program that was built");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        fs::remove_dir_all(stage.directory().join("probe")).expect("the stage is ours");
        if output.status.success() { Ok(stage) } else { Err(text) }
    }
}

fn can_start(program: &Path, user: u32) -> bool {
    run_as(Command::new(program).arg("--version"), user).output().is_ok_and(|output| output.status.success())
}

fn give(path: &Path, user: u32) {
    chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).expect("only root gives files away");
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        give(&entry.path(), user);
    }
}
