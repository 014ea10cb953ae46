//! A thread that is started when there is something to do, and ends when there is nothing left.

use std::io;
use std::sync::mpsc::Sender;

/// The way to such a thread: its commands. It ends when their sender is dropped.
#[derive(Debug)]
pub struct LazyThread<C> {
    commands: Option<Sender<C>>,
    has_failed: bool,
}

impl<C> Default for LazyThread<C> {
    fn default() -> Self {
        Self { commands: None, has_failed: false }
    }
}

impl<C> LazyThread<C> {
    /// Starts the thread unless it runs. Returns the error of the first start that failed; later
    /// ones are tried, and fail in silence.
    #[must_use]
    pub fn start(&mut self, start: impl FnOnce() -> io::Result<Sender<C>>) -> Option<io::Error> {
        if self.commands.is_some() {
            return None;
        }
        match start() {
            Ok(commands) => {
                self.commands = Some(commands);
                None
            }
            Err(error) => (!std::mem::replace(&mut self.has_failed, true)).then_some(error),
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.commands.is_some()
    }

    /// Sends a command; without the thread it is dropped.
    pub fn send(&self, command: C) {
        if let Some(commands) = &self.commands {
            // Fails only after a panic in the thread, which is in the log.
            let _ = commands.send(command);
        }
    }

    /// Lets the thread end.
    pub fn stop(&mut self) {
        self.commands = None;
    }
}
