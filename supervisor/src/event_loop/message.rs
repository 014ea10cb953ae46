//! What the supervisor's threads send to the event loop: one enum, the whole list.

use super::show_reload::PreparedShow;
use crate::control::request::LoopRequest;
use crate::instances::launcher_thread::LauncherReport;
use crate::instances::memory_watch::OverMemory;
use crate::resolver::ResolvedHost;

/// A message to the event loop.
#[derive(Debug)]
pub enum LoopMessage {
    /// The launcher thread reports something.
    Launcher(LauncherReport),
    /// The show file was read again by the thread of this number: what can take the place of the
    /// running show, or why nothing does.
    ShowRead(u64, Result<Box<PreparedShow>, String>),
    /// A host was looked up.
    HostResolved(ResolvedHost),
    /// A client of the control socket asks for something.
    Control(LoopRequest),
    /// A worker uses more memory than it may.
    OverMemory(OverMemory),
    /// The script of the instance of this name has changed on disk.
    ScriptChanged(String),
}
