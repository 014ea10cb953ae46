//! Where the socket is: takes its place in the file system, from a dead supervisor if need be but never from a live one.

use super::connect::connect_to;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest path that a Unix socket can have, in bytes.
const LONGEST_PATH: usize = 107;

/// How many clients may wait to be let in.
const BACKLOG: i32 = 64;

/// How long another show that is just taking a place in the same directory is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long that other show is left alone in between.
const PAUSE: Duration = Duration::from_millis(5);

/// Why the control socket cannot be where it should.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A socket cannot have such a path.
    #[error("the path of the control socket has {length} bytes, {LONGEST_PATH} are possible: `{}`", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A supervisor listens there.
    #[error("this show runs already{}: `{}` answers", pid.map_or_else(String::new, |pid| format!(" with pid {pid}")), path.display())]
    Runs {
        /// The socket.
        path: PathBuf,
        /// The process that listens, unless it has been told by a system that hides it.
        pid: Option<i32>,
    },
    /// Something else is there.
    #[error("`{}` is there already and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// Somebody else's socket is there.
    #[error("`{}` belongs to another user", .0.display())]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("cannot open the control socket `{}`: {source}", path.display())]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl PlaceError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Runs { .. } => {
                "`mm-supervisor status` shows it; `--socket PATH` lets a second one run beside it"
            }
            Self::TooLong { .. } => "choose a shorter one with `--socket PATH`",
            Self::NoSocket(_) | Self::Foreign(_) | Self::Unusable { .. } => {
                "choose another one with `--socket PATH`"
            }
        }
    }
}

/// A socket that listens, with its place; the place is given up when dropped.
#[derive(Debug)]
pub struct Place {
    /// The socket.
    pub listener: UnixListener,
    path: PathBuf,
    /// Device and number of the socket's file: what stands there later may be another's.
    file: (u64, u64),
}

impl Place {
    /// Takes the place.
    ///
    /// # Errors
    ///
    /// A supervisor listens there, or the place cannot be used.
    pub fn take(path: &Path) -> Result<Self, PlaceError> {
        let unusable = |source: io::Error| PlaceError::Unusable { path: path.to_owned(), source };
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            return Err(PlaceError::TooLong { path: path.to_owned(), length });
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        make_directory(directory).map_err(unusable)?;
        // two shows that start at once must not both find a dead socket, and one then remove the other's
        let _lock = lock(directory).map_err(unusable)?;
        clear(path)?;
        let listener = listen_at(path).map_err(unusable)?;
        let file = identity(path).map_err(unusable)?;
        // as it stays the same when the program changes its working directory
        let path = std::path::absolute(path).map_err(unusable)?;
        Ok(Self { listener, path, file })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // whatever is left is found to be dead by the next start
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}

/// Keeps other shows out of the directory, unless one stays for suspiciously long: in a directory that anybody can
/// open, anybody can hold the lock, and must not keep the show from starting.
fn lock(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Makes way, if what is there is a socket that nobody listens to.
fn clear(path: &Path) -> Result<(), PlaceError> {
    let unusable = |source: io::Error| PlaceError::Unusable { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(PlaceError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    match connect_to(path, Duration::ZERO) {
        Ok(peer) => Err(PlaceError::Runs { path: path.to_owned(), pid: peer.pid }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| match error.kind() {
                ErrorKind::PermissionDenied => PlaceError::Foreign(path.to_owned()),
                _ => unusable(error),
            })
        }
        // so many wait to be let in that it must be alive
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(PlaceError::Runs { path: path.to_owned(), pid: None })
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(PlaceError::Foreign(path.to_owned()))
        }
        Err(error) => Err(unusable(error)),
    }
}

fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    // before it listens nobody can connect, so there is no moment at which others could
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

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mm-place-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_can_use_the_socket_and_a_directory_made_for_it() {
        let scratch = Scratch::new("modes");
        let path = scratch.0.join("own/show.sock");
        let _place = Place::take(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn the_socket_is_removed_at_the_end() {
        let scratch = Scratch::new("end");
        let path = scratch.0.join("show.sock");
        drop(Place::take(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_supervisor_left_is_replaced() {
        let scratch = Scratch::new("dead");
        let path = scratch.0.join("show.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _place = Place::take(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_live_supervisor_keeps_its_place_and_is_named() {
        let scratch = Scratch::new("live");
        let path = scratch.0.join("show.sock");
        let _place = Place::take(&path).unwrap();
        let error = Place::take(&path).unwrap_err();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(&error, PlaceError::Runs { pid: Some(pid), .. } if *pid == own), "{error}");
        assert!(error.to_string().contains(&own.to_string()));
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let scratch = Scratch::new("file");
        let path = scratch.0.join("show.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Place::take(&path), Err(PlaceError::NoSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn another_socket_that_has_taken_the_place_is_left_alone_at_the_end() {
        let scratch = Scratch::new("other");
        let path = scratch.0.join("show.sock");
        let place = Place::take(&path).unwrap();
        // renamed, so that its number is not given out again
        fs::rename(&path, scratch.0.join("old.sock")).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(place);
        assert!(path.exists());
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_an_error_that_says_so() {
        let path = Path::new("/tmp").join("x".repeat(120));
        let error = Place::take(&path).unwrap_err();
        assert!(matches!(error, PlaceError::TooLong { length: 125, .. }), "{error}");
    }

    #[test]
    fn of_many_that_start_at_once_one_gets_the_place() {
        let scratch = Scratch::new("race");
        let path = scratch.0.join("show.sock");
        drop(UnixListener::bind(&path).unwrap());
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Place::take(&path))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    }
}
