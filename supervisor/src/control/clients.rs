//! The clients of the control socket: who is admitted, and who makes room for another one.
//!
//! The newest few places are the reserve. When all places are taken, the client among them that has
//! been quiet for the longest is disconnected, so that a command line gets an answer however many
//! clients stay connected. Clients in the other places keep them.

use super::connect::peer_credentials;
use super::protocol::{ControlReply, ErrorReply, write_line};
use nix::sys::socket::{MsgFlags, send};
use nix::unistd::Uid;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What clients are held to.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    /// How many clients may stay connected undisturbed.
    pub clients: usize,
    /// How many more may be connected, each of which makes room for a newer one.
    pub reserve: usize,
    /// How long a client may leave a reply or events unread.
    pub unread_timeout: Duration,
    /// How long a client that does not wait for anything may send nothing.
    pub idle_timeout: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            clients: 60,
            reserve: 4,
            unread_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// All clients that are connected. The event loop never takes its lock.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) limits: ClientLimits,
    table: Mutex<ClientTable>,
}

#[derive(Debug, Default)]
struct ClientTable {
    /// By number; a newer client has a higher one.
    clients: BTreeMap<u64, Client>,
    next: u64,
}

#[derive(Debug)]
struct Client {
    stream: Arc<UnixStream>,
    /// Whether it waits for the outcome of a request.
    is_waiting: bool,
    /// When its last request began or ended.
    active_at: Instant,
}

/// A client's place, which is given up when dropped.
#[derive(Debug)]
pub(super) struct ClientPlace {
    pub(super) stream: Arc<UnixStream>,
    clients: Arc<Clients>,
    number: u64,
}

impl Clients {
    pub(super) fn new(limits: ClientLimits) -> Self {
        Self { limits, table: Mutex::default() }
    }

    /// Admits a client that has connected, or returns why not.
    pub(super) fn admit(
        self: &Arc<Self>,
        stream: UnixStream,
    ) -> Result<ClientPlace, (UnixStream, ErrorReply)> {
        let outcome = check_user(&stream).and_then(|()| {
            let limits = self.limits;
            stream
                .set_read_timeout(Some(limits.idle_timeout))
                .and_then(|()| stream.set_write_timeout(Some(limits.unread_timeout)))
                .map_err(|error| ErrorReply::new(error.to_string()))?;
            let mut table = self.lock();
            table.make_room(limits)?;
            Ok(table)
        });
        let mut table = match outcome {
            Ok(table) => table,
            Err(error) => return Err((stream, error)),
        };
        let (number, stream) = (table.next, Arc::new(stream));
        let client = Client { stream: Arc::clone(&stream), is_waiting: false, active_at: Instant::now() };
        table.next += 1;
        table.clients.insert(number, client);
        drop(table);
        Ok(ClientPlace { stream, clients: Arc::clone(self), number })
    }

    /// Lets each client be answered, but ask for nothing more.
    pub(super) fn finish(&self) {
        for client in self.lock().clients.values() {
            // of a client that is gone already, nothing more is read anyway
            let _ = client.stream.shutdown(Shutdown::Read);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ClientTable> {
        // each change is complete before anything can panic
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientTable {
    fn make_room(&mut self, limits: ClientLimits) -> Result<(), ErrorReply> {
        let connected = self.clients.len();
        if connected < limits.clients + limits.reserve {
            return Ok(());
        }
        let reserve = self.clients.iter().rev().take(limits.reserve);
        let quiet = reserve.filter(|(_, client)| !client.is_waiting);
        let longest = quiet.min_by_key(|(_, client)| client.active_at).map(|(number, _)| *number);
        let Some(client) = longest.and_then(|number| self.clients.remove(&number)) else {
            return Err(ErrorReply::new(format!(
                "{connected} clients are connected already, no more are let in"
            )));
        };
        let mut line = Vec::new();
        let closed = ErrorReply::new("the connection was closed to make room for another client");
        write_line(&mut line, &ControlReply::Refused(closed));
        // where this does not fit, the client does not read
        let _ = send(client.stream.as_raw_fd(), &line, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
        let _ = client.stream.shutdown(Shutdown::Both);
        Ok(())
    }
}

impl ClientPlace {
    /// Notes that the client waits for the outcome of a request, or no longer does. Returns whether
    /// it still has its place.
    pub(super) fn set_waiting(&self, is_waiting: bool) -> bool {
        let mut table = self.clients.lock();
        let Some(client) = table.clients.get_mut(&self.number) else { return false };
        (client.is_waiting, client.active_at) = (is_waiting, Instant::now());
        true
    }

    pub(super) fn limits(&self) -> ClientLimits {
        self.clients.limits
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        self.clients.lock().clients.remove(&self.number);
    }
}

/// Admits the user who runs the show, and root.
fn check_user(stream: &UnixStream) -> Result<(), ErrorReply> {
    let (pid, peer) = peer_credentials(stream).map_err(|error| ErrorReply::new(error.to_string()))?;
    let own = Uid::effective().as_raw();
    if is_admitted(own, peer) {
        return Ok(());
    }
    let process = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
    tracing::warn!(
        event = "control_client_refused",
        uid = peer,
        "refused a connection to the control socket from user {peer}{process}"
    );
    Err(ErrorReply::new(format!("this show belongs to user {own}, you are user {peer}")))
}

fn is_admitted(own: u32, peer: u32) -> bool {
    peer == own || peer == 0
}

#[cfg(test)]
mod tests {
    use super::is_admitted;

    #[test]
    fn only_the_shows_user_and_root_are_admitted() {
        assert!(is_admitted(1000, 1000));
        assert!(is_admitted(1000, 0));
        assert!(is_admitted(0, 0));
        assert!(!is_admitted(1000, 1001));
        assert!(!is_admitted(0, 1000));
    }
}
