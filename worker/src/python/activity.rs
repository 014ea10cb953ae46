//! What the main thread does at this moment: for `current()`, and for the supervisor's watchdog.
//!
//! It belongs to the main thread alone, so there is no lock; in any other thread everything here does nothing.

use mm_shared::{Activity, ProgressWriter};
use std::cell::{Cell, RefCell};

thread_local! {
    static PROGRESS: RefCell<Option<ProgressWriter>> = const { RefCell::new(None) };
    static CURRENT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// What the main thread did before.
pub struct Before(Option<(Activity, u32)>);

/// Makes this thread the one whose doings count.
pub fn install(progress: ProgressWriter) {
    PROGRESS.with_borrow_mut(|slot| *slot = Some(progress));
}

/// Says what the main thread does from now on.
pub fn enter(activity: Activity, subject: u32) -> Before {
    Before(PROGRESS.with_borrow_mut(|slot| slot.as_mut().map(|progress| progress.enter(activity, subject))))
}

/// Says that it does again what it did before.
pub fn go_back(before: Before) {
    if let Before(Some((activity, subject))) = before {
        enter(activity, subject);
    }
}

/// A handler begins.
#[inline]
pub fn enter_handler(channel: u32) {
    CURRENT.set(Some(channel));
    enter(Activity::Handler, channel);
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
pub fn current() -> Option<u32> {
    CURRENT.get()
}
