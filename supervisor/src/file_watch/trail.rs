//! Where a path leads, and the entries of folders that decide about it: a change of any of them can make the path
//! mean another file.
//!
//! For `/show/current/x.py`, where `current` is a link to `r5`, these are: `current` in `/show`, `x.py` in
//! `/show/r5`, and `r5` in `/show`, because folders are replaced as well.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

/// An entry of a folder on the way to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The folder, without links in its path.
    pub folder: PathBuf,
    /// The entry's name.
    pub name: OsString,
    /// What it is for the path.
    pub role: Role,
}

/// What an entry is on the way to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The file itself, there or not.
    File,
    /// A link, or a folder that does not exist.
    Way,
    /// The folder that the way ends in. Nice to know about, and often in a folder that this user may not read.
    Home,
}

impl Step {
    /// Whether this is the path of the entry.
    pub fn is(&self, path: &Path) -> bool {
        path.file_name() == Some(&self.name) && path.parent() == Some(&self.folder)
    }
}

/// The trail of a path.
pub(super) fn of(path: &Path) -> Vec<Step> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let mut steps = Vec::new();
    let mut at = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = names(&path).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let here = at.join(&name);
        let kind = fs::symlink_metadata(&here).map(|found| found.file_type());
        if kind.as_ref().is_ok_and(|kind| kind.is_dir()) && !rest.is_empty() {
            at = here;
            continue;
        }
        let is_link = kind.is_ok_and(|kind| kind.is_symlink());
        let role = if rest.is_empty() && !is_link { Role::File } else { Role::Way };
        steps.push(Step { folder: at.clone(), name, role });
        links += 1;
        let target = if is_link && links <= MAX_LINKS { fs::read_link(&here).ok() } else { None };
        let Some(target) = target else { break };
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        names(&target).rev().for_each(|name| rest.push_front(name));
    }
    if let (Some(folder), Some(name)) = (at.parent(), at.file_name()) {
        steps.push(Step { folder: folder.to_owned(), name: name.to_owned(), role: Role::Home });
    }
    steps
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn steps(path: &Path) -> Vec<(PathBuf, String, Role)> {
        let plain = |step: Step| (step.folder, step.name.to_string_lossy().into_owned(), step.role);
        of(path).into_iter().map(plain).collect()
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = fs::canonicalize(folder.path()).expect("a folder");
        (folder, path)
    }

    fn home_of(folder: &Path) -> (PathBuf, String, Role) {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        (folder.parent().expect("a parent").to_owned(), name, Role::Home)
    }

    #[test]
    fn a_file_depends_on_its_entry_and_its_folder() {
        let (_guard, folder) = folder();
        let expected = vec![(folder.clone(), "x.py".into(), Role::File), home_of(&folder)];
        assert_eq!(steps(&folder.join("x.py")), expected);
        fs::write(folder.join("x.py"), "").expect("writable");
        assert_eq!(steps(&folder.join("./x.py")), expected);
    }

    #[test]
    fn a_missing_folder_is_waited_for_where_it_would_be() {
        let (_guard, folder) = folder();
        let expected = vec![(folder.clone(), "a".into(), Role::Way), home_of(&folder)];
        assert_eq!(steps(&folder.join("a/b/x.py")), expected);
    }

    #[test]
    fn links_are_followed_and_watched() {
        let (_guard, folder) = folder();
        fs::create_dir(folder.join("r5")).expect("a folder");
        fs::write(folder.join("r5/real.py"), "").expect("writable");
        symlink("../r5/real.py", folder.join("r5/x.py")).expect("a link");
        symlink(folder.join("r5"), folder.join("current")).expect("a link");
        let expected = vec![
            (folder.clone(), "current".into(), Role::Way),
            (folder.join("r5"), "x.py".into(), Role::Way),
            (folder.join("r5"), "real.py".into(), Role::File),
            home_of(&folder.join("r5")),
        ];
        assert_eq!(steps(&folder.join("current/x.py")), expected);
    }

    #[test]
    fn a_link_to_itself_comes_to_an_end() {
        let (_guard, folder) = folder();
        symlink("x.py", folder.join("x.py")).expect("a link");
        assert!(steps(&folder.join("x.py")).len() <= MAX_LINKS + 2);
    }
}
