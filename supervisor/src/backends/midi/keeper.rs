//! The thread that keeps the ports: it opens them, connects the devices that the show asks for, and connects them
//! again whenever they have come back. What it does may block, the loop never waits for it.

use super::devices::Wanted;
use super::port::{Direction, Opened, System};
use super::sender::Word;
use mm_shared::Doorbell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Thread;
use std::time::Duration;

/// How often everything is looked at, announced or not.
const LOOK: Duration = Duration::from_secs(1);
/// How often a MIDI system is looked for that is not there.
const RETRY: Duration = Duration::from_secs(3);
/// Devices that a warning names.
const NAMED: usize = 8;

/// Whether the MIDI system is known to be missing: said once, not by each instance.
pub type Outage = Arc<AtomicBool>;

/// What the loop and the thread both know.
#[derive(Debug)]
pub struct Shared {
    pub ending: AtomicBool,
    pub bell: Doorbell,
    /// The state of the ports, for people.
    pub state: Mutex<String>,
}

/// Opens the ports of the instance.
pub type Open = Box<dyn FnMut() -> Result<Opened, String> + Send>;

/// What a thread needs that keeps the ports of an instance.
pub struct Keeper {
    pub name: String,
    pub open: Open,
    /// The devices to receive from and to send to.
    pub wanted: [Option<Wanted>; 2],
    pub words: Sender<Word>,
    /// The thread that hears the words.
    pub sender: Thread,
    pub shared: Arc<Shared>,
    pub outage: Outage,
    /// Told when the ports are closed at the end.
    pub closed: Sender<()>,
}

/// What is known of a device that the show asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Link {
    /// It was not looked for yet.
    Unknown,
    Missing,
    /// It was there, under this name.
    Lost(String),
    /// It is there, but the system refuses to connect it. That may be over in a moment: one that goes away does so too.
    Refused {
        name: String,
        /// How often in a row; said the second time.
        times: u32,
        /// Whether it was connected before.
        known: bool,
    },
    Connected(String),
}

impl Keeper {
    /// Keeps the ports until the backend is closed.
    pub fn run(mut self) {
        let mut links = [Link::Unknown, Link::Unknown];
        while !self.is_ending() {
            match self.open_ports() {
                Ok(opened) => self.keep(opened, &mut links),
                Err(reason) => {
                    if !self.outage.swap(true, Ordering::SeqCst) {
                        tracing::warn!(
                            "{reason}: no MIDI for now; it is tried again every {} s, the rest of the show runs",
                            RETRY.as_secs()
                        );
                    }
                    self.say_state(format!("waiting for MIDI: {reason}"));
                    self.tell(Word::NoOutlet);
                    self.rest();
                }
            }
        }
        // the backend may have stopped waiting
        let _ = self.closed.send(());
    }

    fn open_ports(&mut self) -> Result<Opened, String> {
        let open = &mut self.open;
        // midir takes some failures of the system for impossible
        catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err("the ports cannot be opened".to_owned()))
    }

    /// Works with open ports until they are no good any more.
    fn keep(&mut self, opened: Opened, links: &mut [Link; 2]) {
        let Opened { mut system, outlet } = opened;
        if self.outage.swap(false, Ordering::SeqCst) {
            tracing::info!("MIDI is there now");
        }
        // the devices first, so that the first values reach them
        self.look(&*system, links);
        self.tell(Word::Outlet(outlet));
        while !self.is_ending() && system.is_alive() {
            system.wait(&self.shared.bell, LOOK);
            self.shared.bell.clear();
            if self.look(&*system, links) {
                self.tell(Word::Refresh);
            }
        }
        self.tell(Word::NoOutlet);
        if !self.is_ending() {
            tracing::warn!(instance = %self.name, "the MIDI ports do not work any more, they are opened anew");
            for link in links {
                if let Link::Connected(name) | Link::Refused { name, known: true, .. } = link {
                    *link = Link::Lost(std::mem::take(name));
                }
            }
        }
        // the thread behind a port may have failed, and midir fails with it
        let _ = catch_unwind(AssertUnwindSafe(|| drop(system)));
    }

    /// Connects what is there. Says whether the device to send to was connected anew.
    fn look(&mut self, system: &dyn System, links: &mut [Link; 2]) -> bool {
        let mut refresh = false;
        for (direction, link) in Direction::BOTH.into_iter().zip(links.iter_mut()) {
            let Some(wanted) = &mut self.wanted[direction as usize] else { continue };
            let next = next_link(system, direction, wanted, link);
            if next.anew && direction == Direction::Out {
                refresh = true;
            }
            if next.anew || next.link != *link {
                say(&self.name, direction, wanted, link, &next.link, system);
                *link = next.link;
            }
        }
        let sides = Direction::BOTH.into_iter().zip(links.iter()).zip(&self.wanted);
        let sides =
            sides.filter_map(|((direction, link), wanted)| Some(describe(direction, link, wanted.as_ref()?)));
        self.say_state(sides.collect::<Vec<_>>().join(", "));
        refresh
    }

    fn is_ending(&self) -> bool {
        self.shared.ending.load(Ordering::SeqCst)
    }

    fn say_state(&self, text: String) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn tell(&self, word: Word) {
        // a sender that has ended needs no words
        let _ = self.words.send(word);
        self.sender.unpark();
    }

    fn rest(&self) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let mut descriptors = [PollFd::new(self.shared.bell.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut descriptors, PollTimeout::try_from(RETRY).unwrap_or(PollTimeout::MAX));
    }
}

/// What became of a device.
struct Next {
    link: Link,
    /// It was connected just now.
    anew: bool,
}

fn next_link(system: &dyn System, direction: Direction, wanted: &mut Wanted, link: &Link) -> Next {
    let Some(device) = wanted.choose(&system.devices(direction)) else {
        let link = match link {
            Link::Connected(name) | Link::Refused { name, known: true, .. } | Link::Lost(name) => {
                Link::Lost(name.clone())
            }
            Link::Unknown | Link::Missing | Link::Refused { .. } => Link::Missing,
        };
        return Next { link, anew: false };
    };
    let name = device.name().to_owned();
    if matches!(link, Link::Connected(_)) && system.is_connected(direction, &device) {
        return Next { link: Link::Connected(name), anew: false };
    }
    match system.connect(direction, &device) {
        Ok(()) => Next { link: Link::Connected(name), anew: true },
        // somebody was faster
        Err(_) if system.is_connected(direction, &device) => Next { link: Link::Connected(name), anew: true },
        Err(reason) => {
            tracing::debug!("`{name}` cannot be connected: {reason}");
            Next { link: refused(name, link), anew: false }
        }
    }
}

fn refused(name: String, before: &Link) -> Link {
    match before {
        Link::Refused { times, known, .. } => {
            Link::Refused { name, times: times.saturating_add(1), known: *known }
        }
        Link::Connected(_) | Link::Lost(_) => Link::Refused { name, times: 1, known: true },
        Link::Unknown | Link::Missing => Link::Refused { name, times: 1, known: false },
    }
}

/// Says in the log what has changed.
fn say(name: &str, direction: Direction, wanted: &Wanted, before: &Link, now: &Link, system: &dyn System) {
    let (option, does) = match direction {
        Direction::In => ("read", "receives from"),
        Direction::Out => ("write", "sends to"),
    };
    match now {
        Link::Connected(device) => match before {
            Link::Unknown => tracing::info!(instance = %name, "{does} `{device}`"),
            Link::Missing => tracing::info!(instance = %name, "`{device}` has appeared: {does} it"),
            Link::Refused { known: false, .. } => tracing::info!(instance = %name, "{does} `{device}`"),
            Link::Lost(_) | Link::Refused { .. } | Link::Connected(_) => {
                let values =
                    if direction == Direction::Out { ", the last values are sent once more" } else { "" };
                tracing::info!(instance = %name, "`{device}` is back: {does} it again{values}");
            }
        },
        Link::Missing => {
            let (text, there) = (&wanted.text, listed(&system.devices(direction)));
            tracing::warn!(
                instance = %name,
                "`{option} = {text}` names no device that is there, it is connected as soon as it appears; {there}"
            );
        }
        Link::Lost(device) => {
            tracing::warn!(instance = %name, "`{device}` is gone, it is connected again when it comes back");
        }
        Link::Refused { name: device, times: 2, .. } => {
            tracing::warn!(instance = %name, "`{device}` cannot be connected, it is tried again every second");
        }
        Link::Refused { .. } | Link::Unknown => {}
    }
}

fn listed(devices: &[super::port::Device]) -> String {
    let names: Vec<_> =
        devices.iter().take(NAMED).map(|one| format!("`{}` ({})", one.name(), one.key)).collect();
    match names.is_empty() {
        true => "there is none at all".to_owned(),
        false if devices.len() > NAMED => format!("there are {} and more", names.join(", ")),
        false => format!("there is {}", names.join(", ")),
    }
}

fn describe(direction: Direction, link: &Link, wanted: &Wanted) -> String {
    let option = if direction == Direction::In { "read" } else { "write" };
    match link {
        Link::Unknown | Link::Missing => format!("{option}: `{}` is missing", wanted.text),
        Link::Lost(device) => format!("{option}: `{device}` is gone"),
        Link::Refused { name: device, .. } => format!("{option}: `{device}` cannot be connected"),
        Link::Connected(device) => format!("{option}: `{device}`"),
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
