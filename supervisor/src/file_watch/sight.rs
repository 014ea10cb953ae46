//! What the kernel tells, as far as it can mean a change. This runs in notify's thread, which it must not hold up.

use super::BACKLOG;
use super::patrol::Order;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Event, EventHandler};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

/// Something has happened to an entry of a watched folder, or to such a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sight {
    /// The entry.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// What has happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It has new content for sure.
    Written,
    /// It may have.
    Touched,
    /// It is not there any more, and what was below it neither.
    Gone,
}

/// How much waits for the thread; shared by both sides.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: AtomicUsize,
    lost: AtomicBool,
}

impl Backlog {
    /// A sight was taken out.
    pub fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// The thread begins to look at everything; what is lost from now on needs another look.
    pub fn looking(&self) {
        self.lost.store(false, Ordering::SeqCst);
    }
}

/// Takes in what notify has.
pub(super) struct Intake<K> {
    orders: Sender<Order<K>>,
    backlog: Arc<Backlog>,
}

impl<K> Intake<K> {
    pub fn new(orders: Sender<Order<K>>) -> Self {
        Self { orders, backlog: Arc::default() }
    }

    pub fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    fn lose(&self) {
        if !self.backlog.lost.swap(true, Ordering::SeqCst) {
            let _ = self.orders.send(Order::LookAtAll);
        }
    }

    fn pass(&self, sight: Sight) {
        if self.backlog.waiting.fetch_add(1, Ordering::Relaxed) >= BACKLOG {
            self.backlog.taken();
            self.lose();
        } else {
            let _ = self.orders.send(Order::Seen(sight));
        }
    }
}

impl<K: Send + 'static> EventHandler for Intake<K> {
    fn handle_event(&mut self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.lose(),
            Ok(event) => {
                if let Some(what) = meaning(event.kind) {
                    event.paths.into_iter().for_each(|path| self.pass(Sight { path, what }));
                }
            }
            Err(error) => {
                let _ = self.orders.send(Order::Trouble(error.to_string()));
            }
        }
    }
}

/// Reading and opening are no changes. A file that was closed after writing, or got another date, may be one: `touch`
/// is how people ask for a reload.
fn meaning(kind: EventKind) -> Option<What> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(What::Touched),
        // both ends of a rename come on their own as well
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Name(RenameMode::To)) => {
            Some(What::Written)
        }
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Some(What::Gone),
        _ => Some(What::Touched),
    }
}
