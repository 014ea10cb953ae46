//! Shows for unit tests, from a text in the test.

use crate::show::LiveShow;
use crate::show_file::load_text;
use mm_config::Show;
use std::path::Path;

/// The show that `text` describes, which has to be free of errors.
pub fn show(text: &str) -> Show {
    let loaded = load_text(Path::new("/show.cfg"), text);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(false));
    loaded.show
}

/// The same, with ids for its instances.
pub fn live_show(text: &str) -> LiveShow {
    LiveShow::new(show(text))
}
