//! The file of the control socket: replaces that of a dead supervisor, but never that of a live
//! one.

use super::connect::connect_to;
use crate::runtime_dir::create_private_dir;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest path that a Unix socket can have, in bytes.
const PATH_LIMIT: usize = 107;

/// How many clients may wait to be accepted.
const BACKLOG: i32 = 64;

/// How long another show that is about to create its socket in the same directory is waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the lock is tried in that time.
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Why the control socket cannot be at its path.
#[derive(Debug, thiserror::Error)]
pub enum SocketFileError {
    /// A socket cannot have such a path.
    #[error("the path of the control socket has {length} bytes, at most {PATH_LIMIT} are possible: `{}`", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A supervisor listens there.
    #[error("this show is already running{}: `{}` answers", pid.map_or_else(String::new, |pid| format!(" with pid {pid}")), path.display())]
    Runs {
        /// The socket.
        path: PathBuf,
        /// The process that listens, where it is visible from here.
        pid: Option<i32>,
    },
    /// Something else is there.
    #[error("`{}` exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket of another user is there.
    #[error("`{}` belongs to another user", .0.display())]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("cannot open the control socket `{}`: {source}", path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl SocketFileError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Runs { .. } => {
                "`mm-supervisor status` shows it, `mm-supervisor quit` ends it; `--socket PATH` starts a second one beside it"
            }
            Self::TooLong { .. } => "choose a shorter path with `--socket PATH`",
            Self::NotASocket(_) | Self::Foreign(_) | Self::Unusable { .. } => {
                "choose another path with `--socket PATH`"
            }
        }
    }
}

/// A socket that listens, and its file, which is removed when dropped.
#[derive(Debug)]
pub struct SocketFile {
    /// The socket; it does not block.
    pub listener: UnixListener,
    path: PathBuf,
    /// The socket's file: another one may stand at the path later.
    id: FileId,
}

/// Device and number of a file.
type FileId = (u64, u64);

impl SocketFile {
    /// Listens at `path`, in a directory that is made if it is missing.
    ///
    /// # Errors
    ///
    /// A supervisor listens there, or the path cannot be used.
    pub fn create(path: &Path) -> Result<Self, SocketFileError> {
        let unusable = |source: io::Error| SocketFileError::Unusable { path: path.to_owned(), source };
        let length = path.as_os_str().len();
        if length > PATH_LIMIT {
            return Err(SocketFileError::TooLong { path: path.to_owned(), length });
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        create_private_dir(directory).map_err(unusable)?;
        // two shows that start at once must not both find a dead socket, and one then remove the
        // other's
        let _lock = lock(directory).map_err(unusable)?;
        remove_dead(path)?;
        let listener = listen_at(path).map_err(unusable)?;
        let id = file_id(path).map_err(unusable)?;
        // as it stays the same when the program changes its working directory
        let path = std::path::absolute(path).map_err(unusable)?;
        Ok(Self { listener, path, id })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Listens there again if the file was removed, and returns whether it was. Another file that
    /// has taken its path is left alone.
    ///
    /// # Errors
    ///
    /// As those of [`SocketFile::create`].
    pub fn restore(&mut self) -> Result<bool, SocketFileError> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // the old socket keeps its file's number in use until it is dropped here
                *self = Self::create(&self.path)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if file_id(&self.path).is_ok_and(|id| id == self.id) {
            // whatever is left is found to be dead by the next start
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Keeps other shows out of the directory. A lock that is held for long is ignored: in a directory
/// that all users can open, any of them can hold it, and must not keep the show from starting.
fn lock(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(LOCK_RETRY_INTERVAL)
            }
            Err(TryLockError::WouldBlock) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes a socket that no process listens to.
fn remove_dead(path: &Path) -> Result<(), SocketFileError> {
    let unusable = |source: io::Error| SocketFileError::Unusable { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketFileError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match connect_to(path, Duration::ZERO) {
        Ok(peer) => Err(SocketFileError::Runs { path: path.to_owned(), pid: peer.pid }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| match error.kind() {
                ErrorKind::PermissionDenied => SocketFileError::Foreign(path.to_owned()),
                _ => unusable(error),
            })
        }
        // so many clients wait to be accepted that it must be alive
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(SocketFileError::Runs { path: path.to_owned(), pid: None })
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(SocketFileError::Foreign(path.to_owned()))
        }
        Err(error) => Err(unusable(error)),
    }
}

fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    // before it listens no client can connect, so there is no moment at which others could
    let outcome = fs::set_permissions(path, Permissions::from_mode(0o600))
        .and_then(|()| Ok(listen(&descriptor, Backlog::new(BACKLOG)?)?));
    if let Err(error) = outcome {
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(UnixListener::from(descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_use_the_socket_and_a_directory_made_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own/show.sock");
        let _file = SocketFile::create(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn the_socket_is_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        drop(SocketFile::create(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_supervisor_left_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _file = SocketFile::create(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_live_supervisor_keeps_its_place_and_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        let _file = SocketFile::create(&path).unwrap();
        let error = SocketFile::create(&path).unwrap_err();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(&error, SocketFileError::Runs { pid: Some(pid), .. } if *pid == own), "{error}");
        assert!(error.to_string().contains(&own.to_string()));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(SocketFile::create(&path), Err(SocketFileError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn another_socket_that_has_taken_the_place_is_left_alone_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        let file = SocketFile::create(&path).unwrap();
        // renamed, so that its number is not given out again
        fs::rename(&path, directory.path().join("old.sock")).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_was_removed_is_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own/show.sock");
        let mut file = SocketFile::create(&path).unwrap();
        assert!(!file.restore().unwrap());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(file.restore().unwrap());
        assert!(UnixStream::connect(&path).is_ok());
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_another_socket_has_taken_is_not_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        let mut file = SocketFile::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        assert!(!file.restore().unwrap());
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_an_error_that_says_so() {
        let path = Path::new("/tmp").join("x".repeat(120));
        let error = SocketFile::create(&path).unwrap_err();
        assert!(matches!(error, SocketFileError::TooLong { length: 125, .. }), "{error}");
    }

    #[test]
    fn of_many_that_start_at_once_one_gets_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("show.sock");
        drop(UnixListener::bind(&path).unwrap());
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| SocketFile::create(&path))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}
