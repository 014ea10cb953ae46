//! The thread that owns the control socket and all its clients.
//!
//! It reads, parses and writes; what needs to know the show goes to the event loop as an [`Asked`]. It ends with the
//! [`Server`], and takes the socket with it.

use super::connect::who;
use super::connection::{Connection, Turn};
use super::outbox::Outbox;
use super::protocol::{ErrorReply, Reply};
use super::request::{Ask, Asked, Lane, lane};
use super::socket_file::{Place, PlaceError};
use mm_shared::Doorbell;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::Uid;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What clients are held to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many there may be at once.
    pub clients: usize,
    /// How long a client may leave an answer unread.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clients: 64, patience: Duration::from_secs(10) }
    }
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It cannot be where it should.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The system refuses a thread or a descriptor.
    #[error("cannot serve the control socket: {0}")]
    System(#[from] io::Error),
}

impl ServerError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Place(error) => Some(error.hint()),
            Self::System(_) => None,
        }
    }
}

/// The control socket of a running show; it is closed and removed when dropped.
#[derive(Debug)]
pub struct Server {
    ending: Arc<AtomicBool>,
    bell: Arc<Doorbell>,
    ended: Receiver<()>,
    /// Removes the socket's file; the thread has a second descriptor of the socket itself.
    _place: Place,
}

/// How long the thread is waited for at the end. It may be waiting itself for a loop that no longer takes anything.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

impl Server {
    /// Opens the socket at `path` and serves it. `leave` hands an ask to the loop and says whether the loop still
    /// listens; it may wait, though all clients wait with it.
    ///
    /// # Errors
    ///
    /// A show has its socket there already, the path cannot be used, or the system refuses a thread.
    pub fn start(path: &Path, leave: impl Fn(Asked) -> bool + Send + 'static) -> Result<Self, ServerError> {
        Self::start_with(path, Limits::default(), leave)
    }

    /// Likewise, with other limits.
    ///
    /// # Errors
    ///
    /// As those of [`Server::start`].
    pub fn start_with(
        path: &Path,
        limits: Limits,
        leave: impl Fn(Asked) -> bool + Send + 'static,
    ) -> Result<Self, ServerError> {
        let place = Place::take(path)?;
        let (ending, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(Doorbell::new()?));
        let desk = Desk {
            listener: place.listener.try_clone()?,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(io::Error::from)?,
            bell: Arc::clone(&bell),
            leave: Box::new(leave),
            limits,
            connections: BTreeMap::new(),
            next: FIRST_CLIENT,
            busy: Vec::new(),
            full: None,
        };
        desk.watch()?;
        let (end, ended) = sync_channel(0);
        let is_ending = Arc::clone(&ending);
        std::thread::Builder::new().name("control".into()).spawn(move || serve(desk, &is_ending, end))?;
        Ok(Self { ending, bell, ended, _place: place })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `serve`, which then hears all that was answered before
        self.ending.store(true, Ordering::Release);
        self.bell.ring();
        // the thread drops its end when it is done; nothing is ever sent
        let _ = self.ended.recv_timeout(LAST_PATIENCE);
    }
}

const LISTENER: u64 = 0;
const BELL: u64 = 1;
const FIRST_CLIENT: u64 = 2;

/// How many wake-ups one wait takes in.
const BATCH: usize = 64;

/// How many steps a client goes before the others have their turn.
const STEPS_A_TURN: usize = 64;

/// How long nobody is let in when the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(500);

/// All that the thread works with.
struct Desk {
    listener: std::os::unix::net::UnixListener,
    epoll: Epoll,
    bell: Arc<Doorbell>,
    leave: Box<dyn Fn(Asked) -> bool + Send>,
    limits: Limits,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// Clients that had more to do than fits in a turn.
    busy: Vec<u64>,
    /// Until when nobody is let in.
    full: Option<Instant>,
}

fn serve(mut desk: Desk, ending: &AtomicBool, end: SyncSender<()>) {
    let mut events = [EpollEvent::empty(); BATCH];
    // Acquire: pairs with the Release in `Server::drop`
    while !ending.load(Ordering::Acquire) {
        let count = match desk.epoll.wait(&mut events, desk.timeout()) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => {
                tracing::error!("the control socket is closed: {error}");
                break;
            }
        };
        desk.handle(&events[..count]);
    }
    desk.turn_where(Connection::is_asking);
    drop(desk);
    drop(end);
}

impl Desk {
    fn watch(&self) -> io::Result<()> {
        self.epoll.add(&self.listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        self.epoll.add(&*self.bell, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, BELL))?;
        Ok(())
    }

    fn timeout(&self) -> EpollTimeout {
        if !self.busy.is_empty() {
            return EpollTimeout::ZERO;
        }
        let patience = self.limits.patience;
        let deadlines = self.connections.values().filter_map(|client| client.deadline(patience));
        let Some(deadline) = deadlines.chain(self.full).min() else { return EpollTimeout::NONE };
        let left = deadline.saturating_duration_since(Instant::now());
        let milliseconds = left.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128);
        EpollTimeout::try_from(milliseconds as i32).unwrap_or(EpollTimeout::MAX)
    }

    fn handle(&mut self, events: &[EpollEvent]) {
        let busy = std::mem::take(&mut self.busy);
        for event in events {
            match event.data() {
                LISTENER => self.route_incoming(),
                BELL => self.turn_where(Connection::is_asking),
                client if event.events().intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) => {
                    self.part_with(client);
                }
                client => self.turn(client),
            }
        }
        for client in busy {
            self.turn(client);
        }
        let (now, patience) = (Instant::now(), self.limits.patience);
        self.turn_where(|client| client.deadline(patience).is_some_and(|deadline| deadline <= now));
        self.let_in_again();
    }

    fn turn_where(&mut self, needs_it: impl Fn(&Connection) -> bool) {
        let clients = self.connections.iter().filter(|(_, connection)| needs_it(connection));
        let clients: Vec<u64> = clients.map(|(client, _)| *client).collect();
        for client in clients {
            self.turn(client);
        }
    }

    fn turn(&mut self, client: u64) {
        let Self { connections, bell, leave, limits, .. } = self;
        let Some(connection) = connections.get_mut(&client) else { return };
        let mut submit = |ask| submit(ask, bell, leave);
        let now = Instant::now();
        let mut turn = Turn::Again;
        for _ in 0..STEPS_A_TURN {
            if turn == Turn::Again {
                turn = connection.turn(now, limits.patience, &mut submit);
            }
        }
        match turn {
            // closing takes it off the poller, since nobody shares its descriptor
            Turn::Over => drop(connections.remove(&client)),
            Turn::Again if !self.busy.contains(&client) => self.busy.push(client),
            Turn::Again | Turn::Wait => {}
        }
        self.watch_for(client);
    }

    /// Tells the poller what is waited for at a client.
    fn watch_for(&mut self, client: u64) {
        let Some(connection) = self.connections.get_mut(&client) else { return };
        let interest = connection.interest();
        if interest == connection.watched {
            return;
        }
        connection.watched = interest;
        let mut event = EpollEvent::new(interest, client);
        if let Err(error) = self.epoll.modify(&connection.stream, &mut event) {
            tracing::debug!("cannot watch a client of the control socket: {error}");
            self.connections.remove(&client);
        }
    }

    fn part_with(&mut self, client: u64) {
        let Self { connections, bell, leave, .. } = self;
        if let Some(connection) = connections.remove(&client) {
            connection.last_words(&mut |ask| submit(ask, bell, leave));
        }
    }

    fn route_incoming(&mut self) {
        // those beyond are reported again
        for _ in 0..BATCH {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => return self.let_nobody_in(&error),
                },
            }
        }
    }

    /// Out of descriptors, say: the poller would report the same client over and over.
    fn let_nobody_in(&mut self, error: &io::Error) {
        tracing::warn!("no client is let in to the control socket for now: {error}");
        if self.epoll.delete(&self.listener).is_ok() {
            self.full = Some(Instant::now() + PAUSE);
        }
    }

    fn let_in_again(&mut self) {
        if self.full.is_some_and(|until| until <= Instant::now()) {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, LISTENER);
            self.full = self.epoll.add(&self.listener, event).err().map(|_| Instant::now() + PAUSE);
        }
    }

    fn welcome(&mut self, mut stream: UnixStream) {
        if let Err(refusal) = self.admit(&stream) {
            // for a client that cannot even take this at once it is lost
            let mut outbox = Outbox::default();
            outbox.push(&Reply::Refused(refusal));
            let _ = outbox.write_to(&mut stream);
            return;
        }
        let client = self.next;
        let watched = EpollFlags::EPOLLIN;
        if let Err(error) = self.epoll.add(&stream, EpollEvent::new(watched, client)) {
            tracing::debug!("cannot watch a client of the control socket: {error}");
            return;
        }
        self.next += 1;
        self.connections.insert(client, Connection::new(stream, watched));
    }

    fn admit(&self, stream: &UnixStream) -> Result<(), ErrorReply> {
        // first, so that not even a refusal can block
        stream.set_nonblocking(true).map_err(|error| ErrorReply::new(error.to_string()))?;
        let (pid, peer) = who(stream).map_err(|error| ErrorReply::new(error.to_string()))?;
        let own = Uid::effective().as_raw();
        if !is_admitted(own, peer) {
            let process = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
            tracing::warn!("refused a connection to the control socket from user {peer}{process}");
            return Err(ErrorReply::new(format!("this show belongs to user {own}, you are user {peer}")));
        }
        if self.connections.len() >= self.limits.clients {
            let clients = self.limits.clients;
            return Err(ErrorReply::new(format!(
                "{clients} clients are connected already, no more are let in"
            )));
        }
        Ok(())
    }
}

/// Only the user who runs the show, and root, get in.
fn is_admitted(own: u32, peer: u32) -> bool {
    peer == own || peer == 0
}

fn submit(ask: Ask, bell: &Arc<Doorbell>, leave: &dyn Fn(Asked) -> bool) -> Lane {
    let (answer, lane) = lane(&ask, bell);
    // where nobody listens any more the answer has been dropped, and has said so itself
    leave(Asked { ask, answer });
    lane
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
