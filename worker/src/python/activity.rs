//! What the main thread does at this moment: for `current()`, and for the supervisor's watchdog.
//!
//! It belongs to the main thread, so there is no lock. In any other thread everything here does
//! nothing.

use mm_shared::{Activity, ChannelId, ProgressWriter};
use std::cell::{Cell, RefCell};

thread_local! {
    static PROGRESS: RefCell<Option<ProgressWriter>> = const { RefCell::new(None) };
    static CURRENT: Cell<Option<ChannelId>> = const { Cell::new(None) };
}

/// What the main thread did before.
pub struct PreviousActivity(Option<(Activity, u32)>);

/// Makes this thread the one whose activity is published.
pub fn install(progress: ProgressWriter) {
    PROGRESS.with_borrow_mut(|slot| *slot = Some(progress));
}

/// Publishes what the main thread does from now on.
pub fn enter(activity: Activity, subject: u32) -> PreviousActivity {
    PreviousActivity(
        PROGRESS.with_borrow_mut(|slot| slot.as_mut().map(|progress| progress.enter(activity, subject))),
    )
}

/// Publishes that the main thread calls a callable of this name from now on.
pub fn enter_callable(activity: Activity, subject: u32, name: &str) {
    PROGRESS.with_borrow_mut(|slot| {
        if let Some(progress) = slot {
            progress.name_callable(name);
            progress.enter(activity, subject);
        }
    });
}

/// Publishes that it does again what it did before.
pub fn go_back(before: PreviousActivity) {
    if let PreviousActivity(Some((activity, subject))) = before {
        enter(activity, subject);
    }
}

/// A handler begins.
#[inline]
pub fn enter_handler(channel: ChannelId) {
    CURRENT.set(Some(channel));
    enter(Activity::Handler, channel.0);
}

/// The handler has returned, or raised.
#[inline]
pub fn leave_handler() {
    CURRENT.set(None);
}

/// Counts an event that its handler is done with, after so many nanoseconds.
#[inline]
pub fn handled(nanos: u64) {
    PROGRESS.with_borrow_mut(|slot| slot.as_mut().map(|progress| progress.handled(nanos)));
}

/// Counts an error of the script.
pub fn error() {
    PROGRESS.with_borrow_mut(|slot| slot.as_mut().map(ProgressWriter::error));
}

/// The channel whose handler runs in this thread.
pub fn current() -> Option<ChannelId> {
    CURRENT.get()
}
