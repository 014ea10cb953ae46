//! Finds the running show: the one whose socket is named, or else the only one.

use super::super::SUFFIX;
use super::super::connect::{SocketPeer, connect_to};
use super::ClientError;
use super::text::clean;
use crate::runtime_dir;
use nix::unistd::Uid;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a show may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A running show.
#[derive(Debug)]
pub(super) struct RunningShow {
    path: PathBuf,
    peer: SocketPeer,
}

/// Connects to the show at `socket`, or to the only one that is running.
pub(super) fn find(socket: Option<&Path>) -> Result<SocketPeer, ClientError> {
    match socket {
        Some(path) => connect(path),
        None => only(&runtime_dir::shared_by_shows()),
    }
}

/// The shows, for a message.
pub(super) fn list(shows: &[RunningShow]) -> String {
    let names = shows.iter().map(|show| match show.peer.pid {
        Some(pid) => format!("`{}` (pid {pid})", clean(&show.path.to_string_lossy())),
        None => format!("`{}`", clean(&show.path.to_string_lossy())),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn connect(path: &Path) -> Result<SocketPeer, ClientError> {
    let unreachable = |source| ClientError::Unreachable { path: path.to_owned(), source };
    let peer = connect_to(path, CONNECT_TIMEOUT).map_err(unreachable)?;
    if is_trusted(Uid::effective().as_raw(), peer.uid) {
        Ok(peer)
    } else {
        Err(ClientError::Foreign { path: path.to_owned(), uid: peer.uid })
    }
}

/// The only show with a socket in `directory`; sockets of dead supervisors do not count.
fn only(directory: &Path) -> Result<SocketPeer, ClientError> {
    let mut shows = running(directory);
    match shows.len() {
        0 => Err(ClientError::NoShow),
        1 => Ok(shows.remove(0).peer),
        _ => {
            shows.sort_by(|one, other| one.path.cmp(&other.path));
            Err(ClientError::Several(shows))
        }
    }
}

fn running(directory: &Path) -> Vec<RunningShow> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == SUFFIX));
    paths.filter_map(|path| connect(&path).ok().map(|peer| RunningShow { path, peer })).collect()
}

/// Whether this user may talk to a show of that user, who sees the requests and decides what is
/// printed.
fn is_trusted(own: u32, peer: u32) -> bool {
    own == 0 || peer == own || peer == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use tempfile::TempDir;

    fn listen(directory: &TempDir, name: &str) -> UnixListener {
        UnixListener::bind(directory.path().join(name)).unwrap()
    }

    #[test]
    fn the_only_running_show_is_found_among_dead_ones_and_other_files() {
        let directory = tempfile::tempdir().unwrap();
        drop(listen(&directory, "dead.sock"));
        fs::write(directory.path().join("notes.txt"), "").unwrap();
        fs::create_dir(directory.path().join("run-1")).unwrap();
        let _show = listen(&directory, "show.sock");
        assert!(only(directory.path()).is_ok());
    }

    #[test]
    fn no_show_is_an_error_also_where_there_is_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        drop(listen(&directory, "dead.sock"));
        assert!(matches!(only(directory.path()), Err(ClientError::NoShow)));
        assert!(matches!(only(&directory.path().join("missing")), Err(ClientError::NoShow)));
    }

    #[test]
    fn several_shows_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let _shows = [listen(&directory, "two.sock"), listen(&directory, "one.sock")];
        let message = only(directory.path()).unwrap_err().to_string();
        let (one, two) = (message.find("one.sock").unwrap(), message.find("two.sock").unwrap());
        assert!(message.starts_with("2 shows are running: ") && one < two, "{message}");
    }

    #[test]
    fn a_socket_that_leads_nowhere_is_named() {
        let error = connect(Path::new("/nowhere/show.sock")).unwrap_err();
        assert!(error.to_string().starts_with("no show answers at `/nowhere/show.sock`: "), "{error}");
    }

    #[test]
    fn only_ones_own_shows_and_roots_are_trusted() {
        assert!(is_trusted(1000, 1000));
        assert!(is_trusted(1000, 0));
        assert!(is_trusted(0, 1000));
        assert!(!is_trusted(1000, 1001));
    }
}
