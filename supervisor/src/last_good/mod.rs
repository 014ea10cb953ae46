//! The last good show: a copy of the show file and its includes, kept on disk once the show runs,
//! for a boot at which the show file has errors.
//!
//! ```text
//! event loop ──► Keeper (latest wins) ──► thread: temporary file, fsync, rename, fsync ──► disk
//! a start with `--last-good` and a show file with errors ──► find ──► the show of the copy
//! ```
//!
//! The rules:
//!
//! - No fault of the copy ends a show, and nothing of this waits on the loop.
//! - A copy holds the path of its show file, so that shows of one name in different folders never
//!   take each other's. The path is not resolved: a link that leads to a new version of a show
//!   keeps the copy of the old one.
//! - Scripts are not copied: `reload` keeps a worker whose new script fails.

mod keeper;
mod places;
mod show_copy;
#[cfg(test)]
mod tests;

pub use keeper::Keeper;
pub use places::Places;
pub use show_copy::{CopySearch, FoundCopy, ShowCopy, find};

/// The loop's side: keeps the running show, and knows whether it is a copy itself.
#[derive(Debug, Default)]
pub struct LastGood {
    keeper: Option<Keeper>,
    /// What is kept as soon as the show runs.
    unkept: Option<ShowCopy>,
    reason: Option<String>,
}

impl LastGood {
    /// The state of a start: `unkept` is the show file that was read, or `reason` is why a copy of
    /// an earlier one runs in its place.
    #[must_use]
    pub fn new(unkept: Option<ShowCopy>, reason: Option<String>) -> Self {
        Self { keeper: None, unkept, reason }
    }

    /// Why the last good show runs in place of the show file; `None` while the show file's runs.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Another show file was accepted. It is kept once the show runs.
    pub fn accepted(&mut self, copy: Option<ShowCopy>) {
        self.unkept = copy;
        if self.reason.take().is_some() {
            tracing::info!(
                event = "last_good_replaced",
                "the show file is good again, its show runs in place of the last good one"
            );
        }
    }

    /// The show file was read again and has errors: where the last good show runs, this is why from
    /// now on.
    pub fn refused(&mut self, report: &str) {
        if self.reason.is_some() {
            self.reason = Some(summary(report));
        }
    }

    /// The show runs, so it is a good one.
    pub fn keep(&mut self) {
        let Some(copy) = self.unkept.take() else { return };
        if copy.places.is_empty() {
            return;
        }
        if self.keeper.is_none() {
            match Keeper::start() {
                Ok(keeper) => self.keeper = Some(keeper),
                Err(error) => {
                    tracing::warn!(
                        event = "last_good_not_kept",
                        "the show file is not kept: no thread: {error}"
                    );
                }
            }
        }
        if let Some(keeper) = &self.keeper {
            keeper.keep(copy);
        }
    }
}

/// The first error of a rendered report, on one line.
#[must_use]
pub fn summary(report: &str) -> String {
    let mut lines = report.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").or_else(|| first.strip_prefix("warning: ")).unwrap_or(first);
    match lines.next().and_then(|line| line.strip_prefix("--> ")) {
        Some(place) => format!("{message} ({place})"),
        None => message.to_owned(),
    }
}
