//! Where the sockets of running shows may be, and which shows of other users run.

use crate::runtime_dir;
use nix::unistd::{Uid, User};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `/proc/PID/comm` holds for a supervisor.
const PROGRAM: &str = "mm-supervisor";

/// The flag of `/proc/net/unix` for a socket that listens (`__SO_ACCEPTCON`).
const LISTENS: u32 = 0x1_0000;

/// The directories that hold the sockets of shows: this user's, the service's, root's, and for root
/// those of all users.
pub(super) fn socket_directories() -> Vec<PathBuf> {
    let mut directories = runtime_dir::all_shared_by_shows();
    directories.push(PathBuf::from("/run/mm-supervisor"));
    let uid = Uid::effective();
    directories.push(PathBuf::from(format!("/run/user/{uid}/mm-supervisor")));
    directories.push(std::env::temp_dir().join(format!("mm-supervisor-{uid}")));
    if uid.is_root() {
        directories.extend(entries(Path::new("/run/user")).map(|path| path.join("mm-supervisor")));
        let is_ours = |path: &PathBuf| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("mm-supervisor-"))
        };
        directories.extend(entries(Path::new("/tmp")).filter(is_ours));
    }
    directories
}

/// The sockets on which supervisors listen that this user may look into, wherever the sockets are.
pub(super) fn sockets_of_processes() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let listening = listening_sockets(&table);
    let mut sockets = Vec::new();
    for process in supervisors() {
        for descriptor in entries(&process.join("fd")) {
            let Ok(target) = fs::read_link(descriptor) else { continue };
            let inode = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
            let Some(path) = inode.and_then(|inode| listening.get(inode)) else { continue };
            // the sockets in a supervisor's own folder are for its workers
            let is_for_workers = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
            if path.is_absolute() && !is_for_workers.is_some_and(|name| name.starts_with("run-")) {
                sockets.push(path.clone());
            }
        }
    }
    sockets
}

/// A person's description of the shows of users whom this one must not talk to; empty without any.
pub(super) fn of_other_users() -> Vec<String> {
    let own = Uid::effective();
    if own.is_root() {
        return Vec::new();
    }
    let described = supervisors().filter_map(|process| {
        let uid = Uid::from_raw(fs::metadata(&process).ok()?.uid());
        if uid == own {
            return None;
        }
        let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
        let pid = process.file_name()?.to_string_lossy().into_owned();
        Some(format!("a show of user `{user}` (pid {pid})"))
    });
    described.collect()
}

/// The folders in `/proc` of the supervisors that run; not of their reapers, and not of commands such
/// as this one.
fn supervisors() -> impl Iterator<Item = PathBuf> {
    let own = std::process::id().to_string();
    entries(Path::new("/proc")).filter(move |process| {
        let is_number = process
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name != own && name.bytes().all(|byte| byte.is_ascii_digit()));
        is_number && fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim_end() == PROGRAM)
    })
}

/// By inode: the paths of the sockets that listen, from the text of `/proc/net/unix` (proc_net(5)).
fn listening_sockets(table: &str) -> HashMap<&str, PathBuf> {
    let sockets = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        let inode = words.nth(2)?;
        // a path may hold blanks
        let path = line.find('/').map(|start| &line[start..])?;
        (flags & LISTENS != 0).then(|| (inode, PathBuf::from(path)))
    });
    sockets.collect()
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_read_from_the_table_of_the_kernel() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/mm supervisor/a.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 4712 /run/mm/b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 4713\n";
        let sockets = listening_sockets(table);
        assert_eq!(sockets.len(), 1);
        assert_eq!(sockets["4711"], PathBuf::from("/run/mm supervisor/a.sock"));
    }
}
