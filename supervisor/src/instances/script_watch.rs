//! `watch = on`: instances that are reloaded by themselves when their scripts change on disk.

use super::context::LoopContext;
use super::instance::ScriptInstance;
use super::lifecycle::{self, State, Then};
use crate::event_loop::message::LoopMessage;
use crate::file_watch::Watcher;
use crate::mailbox::MailboxSender;
use std::path::PathBuf;

/// The watch on the scripts of all instances that ask for it; it begins with the first of them.
pub struct ScriptWatch {
    post: MailboxSender<LoopMessage>,
    watcher: Option<Watcher<String>>,
    /// There is no means to watch, which was said.
    refused: bool,
}

impl ScriptWatch {
    /// Nothing is watched yet; changes are told as notices.
    #[must_use]
    pub fn new(post: MailboxSender<LoopMessage>) -> Self {
        Self { post, watcher: None, refused: false }
    }

    /// Watches these files for an instance from now on, and no others.
    pub fn files(&mut self, instance: &str, files: Vec<PathBuf>) {
        if self.watcher.is_none() && !self.refused {
            let post = self.post.clone();
            let tell = move |name| {
                // without a loop there is nothing to reload
                let _ = post.send(LoopMessage::ScriptChanged(name));
            };
            match Watcher::start(tell) {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => {
                    self.refused = true;
                    tracing::warn!("`watch` has no effect: {error}");
                }
            }
        }
        if let Some(watcher) = &self.watcher {
            watcher.watch(instance.to_owned(), files);
        }
    }

    /// Watches nothing for an instance any more.
    pub fn end(&self, instance: &str) {
        if let Some(watcher) = &self.watcher {
            watcher.unwatch(instance.to_owned());
        }
    }
}

impl ScriptInstance {
    /// The script has changed on disk.
    pub(super) fn changed(&mut self, cx: &mut LoopContext<'_>) {
        // a user who has stopped the instance does not start it by saving a file
        let is_stopped =
            matches!(self.lifecycle.state(), State::Stopped | State::Stopping { then: Then::Stay, .. });
        if is_stopped || self.recipe.watched_files().is_none() {
            return;
        }
        tracing::info!(instance = %self.name, "the script has changed, reloading");
        self.step(lifecycle::Event::Reload, cx);
    }
}
