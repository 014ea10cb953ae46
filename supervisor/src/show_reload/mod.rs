//! HUP: reads the show file again, away from the loop, and works out what differs from the running
//! show.
//!
//! Reading files may take long, so a thread does it. What comes back is complete: a show with
//! backends that only have to be opened, or the reason why nothing changes.

use crate::backends::{self, Plan};
use crate::instances::show_check;
use crate::last_good::ShowCopy;
use crate::router::table::RouteTable;
use crate::show::LiveShow;
use crate::show::change::ShowChange;
use crate::show_file;
use crate::state::StateFile;
use mm_config::{Overrides, SupervisorOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

/// Why a show is not replaced by one that does nothing: a file that is being written, or a full
/// disk, would end it.
const NO_INSTANCE: &str = "error: a file without any instance does not replace a show that has some";

/// Where a show came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// What is running.
    pub show: Arc<LiveShow>,
    /// What the command line has set.
    pub overrides: Overrides,
    /// The command line's `--state-dir`.
    pub state_dir: Option<PathBuf>,
}

/// A show that can take the place of the running one.
pub struct LoadedShow {
    /// The show.
    pub show: LiveShow,
    /// Its backends.
    pub plans: Vec<Box<dyn Plan>>,
    /// Its mappings, ready for the router: for a large show they take milliseconds to build.
    pub table: RouteTable,
    /// What has changed.
    pub change: ShowChange,
    /// The state file that takes the place of the present one, or `None` if that is to stay.
    pub state_file: Option<Option<StateFile>>,
    /// What is kept of it for a boot at which its file has errors.
    pub copy: Option<ShowCopy>,
}

impl std::fmt::Debug for LoadedShow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedShow").field("change", &self.change).finish_non_exhaustive()
    }
}

/// Starts a thread that reads the file and calls `report` with the outcome.
///
/// # Errors
///
/// The system refuses a thread.
pub fn begin(
    origin: Origin,
    report: impl FnOnce(Result<Box<LoadedShow>, String>) + Send + 'static,
) -> io::Result<()> {
    let work = move || report(read(&origin).map(Box::new));
    thread::Builder::new().name("show-reload".into()).spawn(work).map(drop)
}

fn read(origin: &Origin) -> Result<LoadedShow, String> {
    let overrides = Overrides { may_be_unused: true, ..origin.overrides.clone() };
    let loaded = show_file::load(&origin.show.path, &overrides);
    let files = loaded.copies();
    let mut diagnostics = loaded.diagnostics;
    let (show, change) = origin.show.successor(loaded.show, backends::reopens_for_channels);
    let plans = backends::plan(&show, &mut diagnostics);
    show_check::check(&show, &mut diagnostics);
    let report = diagnostics.render(false);
    if diagnostics.has_errors() {
        return Err(report);
    }
    if show.instances.is_empty() && !origin.show.instances.is_empty() {
        return Err(format!("{NO_INSTANCE}\n{report}"));
    }
    if !diagnostics.is_empty() {
        tracing::warn!(event = "show_file_warned", report = %report.trim_end(), "the show file has warnings");
    }
    let table = RouteTable::new(&show);
    let state_file = other_state_file(&SupervisorOptions::of(&origin.show), &SupervisorOptions::of(&show))?;
    let copy = ShowCopy::of(&show, files, origin.state_dir.as_deref());
    Ok(LoadedShow { show, plans, table, change, state_file, copy })
}

/// Starts the thread of another state file if the show names another one. Its values are not read:
/// those of the running show are newer.
fn other_state_file(
    old: &SupervisorOptions,
    new: &SupervisorOptions,
) -> Result<Option<Option<StateFile>>, String> {
    if old.state_file == new.state_file {
        return Ok(None);
    }
    let started = new.state_file.clone().map(StateFile::start).transpose();
    started.map(Some).map_err(|error| format!("cannot start a thread for the state file: {error}"))
}
