//! Finds the running show: the one whose socket or name is given, or else the only one.

use super::ClientError;
use super::connection::ShowConnection;
use super::places::{self, socket_directories};
use super::text::clean;
use crate::control::SUFFIX;
use crate::control::args::SocketArgs;
use crate::control::connect::{SocketPeer, connect_to};
use crate::control::protocol::{ControlReply, ControlRequest, ShowStatus};
use crate::runtime_dir;
use nix::unistd::Uid;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a show may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a show may take to say which one it is.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);

/// A running show.
#[derive(Debug)]
pub(super) struct RunningShow {
    path: PathBuf,
    pid: Option<i32>,
    pub(super) connection: ShowConnection,
    /// What it says of itself; asked for only where there are several shows.
    pub(super) status: Option<ShowStatus>,
}

impl RunningShow {
    /// Asks it which one it is.
    fn ask(&mut self) {
        if self.status.is_none() {
            self.status = status(&mut self.connection);
        }
    }
}

/// Connects to the show that is named, or to the only one that is running. The shows of this user's
/// runtime directory come before those that run elsewhere.
pub(super) fn find(args: &SocketArgs) -> Result<ShowConnection, ClientError> {
    if let Some(path) = &args.socket {
        return connect(path).map(ShowConnection::new);
    }
    if let Some(name) = &args.show {
        let mut shows = running(everywhere());
        shows.iter_mut().for_each(RunningShow::ask);
        return named(shows, name);
    }
    let mut shows = running(sockets_in(&runtime_dir::all_shared_by_shows()));
    if shows.is_empty() {
        shows = running(everywhere());
    }
    match shows.len() {
        0 => Err(ClientError::NoShow),
        1 => Ok(shows.remove(0).connection),
        _ => {
            shows.iter_mut().for_each(RunningShow::ask);
            Err(ClientError::Several(shows))
        }
    }
}

/// All running shows that this user may talk to, but for `known`.
pub(super) fn others(known: &[u32]) -> Vec<RunningShow> {
    let mut shows = running(everywhere());
    let is_known = |show: &RunningShow| {
        show.pid.is_some_and(|pid| u32::try_from(pid).is_ok_and(|pid| known.contains(&pid)))
    };
    shows.retain(|show| !is_known(show));
    shows.iter_mut().for_each(RunningShow::ask);
    shows
}

/// All sockets of shows, wherever they are.
fn everywhere() -> Vec<PathBuf> {
    let mut paths = sockets_in(&socket_directories());
    paths.extend(places::sockets_of_processes());
    paths
}

fn sockets_in(directories: &[PathBuf]) -> Vec<PathBuf> {
    let entries = directories.iter().flat_map(fs::read_dir).flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == SUFFIX)).collect();
    paths.sort();
    paths
}

/// The file of the show whose socket is at `path`, if one answers.
pub(super) fn show_file(path: &Path) -> Option<PathBuf> {
    let mut connection = ShowConnection::new(connect(path).ok()?);
    let file = status(&mut connection)?.file;
    (!file.is_empty()).then(|| PathBuf::from(file))
}

/// The shows, for a message.
pub(super) fn list(shows: &[RunningShow]) -> String {
    let names = shows.iter().map(|show| {
        let what = match &show.status {
            Some(status) if !status.file.is_empty() => format!("`{}` of `{}`", status.show, status.file),
            Some(status) => format!("`{}`", status.show),
            None => format!("`{}`", show.path.display()),
        };
        let pid = show.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        clean(&what) + &pid
    });
    names.collect::<Vec<_>>().join(", ")
}

/// The only one of `shows` with that name, file or socket.
fn named(shows: Vec<RunningShow>, name: &str) -> Result<ShowConnection, ClientError> {
    let wanted = fs::canonicalize(name).ok();
    let is_meant = |show: &RunningShow| {
        let (status, path) = (show.status.as_ref(), show.path.as_path());
        let stem = path.file_stem().is_some_and(|stem| stem == name);
        let file = status.and_then(|status| fs::canonicalize(&status.file).ok());
        stem || status.is_some_and(|status| status.show == name)
            || (wanted.is_some() && (file == wanted || wanted.as_deref() == Some(path)))
    };
    let (mut meant, others): (Vec<_>, Vec<_>) = shows.into_iter().partition(is_meant);
    match meant.len() {
        0 => Err(ClientError::NotNamed { name: name.to_owned(), shows: others }),
        1 => Ok(meant.remove(0).connection),
        _ => Err(ClientError::Several(meant)),
    }
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

/// The shows that listen at these paths. Sockets of dead supervisors do not count.
fn running(paths: Vec<PathBuf>) -> Vec<RunningShow> {
    let mut shows: Vec<RunningShow> = Vec::new();
    for path in paths {
        // the same directory may be reached by two ways
        let path = fs::canonicalize(&path).unwrap_or(path);
        if shows.iter().any(|show| show.path == path) {
            continue;
        }
        if let Ok(peer) = connect(&path) {
            shows.push(RunningShow {
                path,
                pid: peer.pid,
                connection: ShowConnection::new(peer),
                status: None,
            });
        }
    }
    shows
}

fn status(connection: &mut ShowConnection) -> Option<ShowStatus> {
    match connection.request(&ControlRequest::Status { instance: None }, Some(NAME_TIMEOUT)) {
        Ok(ControlReply::Status(status)) => Some(status),
        _ => None,
    }
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

    fn found(directory: &Path) -> usize {
        running(sockets_in(&[directory.to_owned()])).len()
    }

    #[test]
    fn a_running_show_is_found_among_dead_ones_and_other_files() {
        let directory = tempfile::tempdir().unwrap();
        drop(listen(&directory, "dead.sock"));
        fs::write(directory.path().join("notes.txt"), "").unwrap();
        fs::create_dir(directory.path().join("run-1")).unwrap();
        let _show = listen(&directory, "show.sock");
        assert_eq!(found(directory.path()), 1);
    }

    #[test]
    fn a_directory_that_is_missing_holds_no_show() {
        let directory = tempfile::tempdir().unwrap();
        drop(listen(&directory, "dead.sock"));
        assert_eq!(found(directory.path()), 0);
        assert_eq!(found(&directory.path().join("missing")), 0);
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
