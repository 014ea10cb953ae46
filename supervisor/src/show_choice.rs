//! Which show a start runs: that of the show file, or, with `--last-good` and a show file with
//! errors, the one of the copy that was kept of it.
//!
//! The choice is made before the log exists; what there is to log about it is logged afterwards, by
//! [`ChosenShow::announce`].

use crate::backends::{self, Plan};
use crate::cli::{RunArgs, ShowArgs};
use crate::instances::show_check;
use crate::last_good::{self, CopySearch, FoundCopy, LastGood, Places, ShowCopy};
use crate::show::LiveShow;
use crate::show_file;
use crate::stderr::print_line;
use crate::terminal::wants_color;
use mm_config::{Diagnostics, FileCopies, LoadedShowFile};
use std::io;
use std::path::PathBuf;

/// A show that was read and checked, with nothing opened yet.
pub struct CheckedShow {
    /// The show as far as it was understood.
    pub show: LiveShow,
    /// Its backends.
    pub plans: Vec<Box<dyn Plan>>,
    /// All errors and warnings. With errors, the show cannot run.
    pub diagnostics: Diagnostics,
    /// Copies of its files.
    pub files: FileCopies,
}

impl CheckedShow {
    fn new(loaded: LoadedShowFile) -> Self {
        let files = loaded.copies();
        let mut diagnostics = loaded.diagnostics;
        let show = LiveShow::new(loaded.show);
        let plans = backends::plan(&show, &mut diagnostics);
        show_check::check(&show, &mut diagnostics);
        Self { show, plans, diagnostics, files }
    }

    /// Prints what is wrong with it.
    pub fn print(&self) {
        if !self.diagnostics.is_empty() {
            print_line(self.diagnostics.render(wants_color(&io::stderr())).trim_end());
        }
    }

    /// Whether `--last-good` has something better than this. A show without an instance is valid,
    /// and most likely a file that was not saved completely.
    fn is_broken(&self) -> bool {
        self.diagnostics.has_errors() || self.show.instances.is_empty()
    }
}

/// Reads and checks the show file of the command line. `None`: there is none.
#[must_use]
pub fn read(args: &ShowArgs) -> Option<CheckedShow> {
    let Some(path) = args.path() else {
        print_line("error: no show file given");
        print_line("hint: `mm-supervisor --config show.cfg` runs a show, `mm-supervisor --help` tells more");
        return None;
    };
    Some(CheckedShow::new(show_file::load(path, &args.overrides())))
}

/// The show that runs.
pub struct ChosenShow {
    checked: CheckedShow,
    choice: Choice,
}

enum Choice {
    /// That of the show file.
    ShowFile { copy: Option<ShowCopy>, wants_copy: bool },
    /// That of the copy.
    LastGood { report: String, found_in: PathBuf, warnings: Vec<String> },
}

/// Chooses the show to run. `None`: there is none, and all errors are printed.
#[must_use]
pub fn choose(args: &RunArgs) -> Option<ChosenShow> {
    let checked = read(&args.show)?;
    let places = Places::of(&checked.show, args.state_dir.as_deref());
    let mut warnings = Vec::new();
    let mut hint = None;
    if args.last_good && checked.is_broken() {
        let report = checked.diagnostics.render(false);
        let CopySearch { found, warnings: found_wrong } = last_good::find(&places, &checked.show.path);
        warnings = found_wrong;
        hint = Some(match found {
            None => no_copy_hint(&places),
            Some(FoundCopy { files, kept_in }) => {
                let (path, overrides) = (&checked.show.path, args.show.overrides());
                let copy = CheckedShow::new(show_file::load_copies(path, &files, &overrides));
                if !copy.diagnostics.has_errors() {
                    let choice = Choice::LastGood { report, found_in: kept_in, warnings };
                    return Some(ChosenShow { checked: copy, choice });
                }
                copy.print();
                format!("the last good show, kept in `{}`, has errors too", kept_in.display())
            }
        });
    }
    checked.print();
    warnings.iter().for_each(|warning| print_line(&format!("warning: {warning}")));
    if let Some(hint) = hint {
        print_line(&format!("hint: {hint}"));
    }
    if checked.diagnostics.has_errors() {
        return None;
    }
    let copy = ShowCopy::of(&checked.show, checked.files.clone(), args.state_dir.as_deref());
    Some(ChosenShow { checked, choice: Choice::ShowFile { copy, wants_copy: args.last_good } })
}

fn no_copy_hint(places: &Places) -> String {
    let what = "`--last-good` found no copy of this show that could run in its place";
    if places.is_empty() {
        return format!("{what}; with `--state-dir PATH`, each show that runs leaves one there");
    }
    format!("{what}; one is kept as soon as the show has run")
}

impl ChosenShow {
    /// Logs which show runs where that is not the one of the show file.
    #[must_use]
    pub fn announce(self) -> (CheckedShow, LastGood) {
        let Self { checked, choice } = self;
        let path = checked.show.path.display();
        let last_good = match choice {
            Choice::LastGood { report, found_in, warnings } => {
                let report = report.trim_end();
                tracing::error!(
                    event = "show_file_broken",
                    report = %report,
                    "the show file `{path}` is not usable"
                );
                for warning in warnings {
                    tracing::warn!(event = "last_good_damaged", "{warning}");
                }
                let reason = last_good::summary(report);
                tracing::warn!(
                    event = "last_good_running",
                    "the last good show runs in place of `{path}`: {reason}; it is the copy kept in `{}`; \
                     repair the show file, then reload it with HUP",
                    found_in.display()
                );
                LastGood::new(None, Some(reason))
            }
            Choice::ShowFile { copy, wants_copy } => {
                if wants_copy && copy.as_ref().is_some_and(|copy| copy.places.is_empty()) {
                    tracing::warn!(
                        event = "last_good_not_kept",
                        "`--last-good` has no directory to keep a copy of the show file in; \
                         set one with `--state-dir PATH`"
                    );
                }
                LastGood::new(copy, None)
            }
        };
        (checked, last_good)
    }
}
