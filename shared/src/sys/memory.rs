//! The memory of a process and of all that it has started, as `/proc` shows it.
//!
//! Resident memory counts a page once for each process that has it mapped, and a forked child has
//! nearly all pages of its parent. So the sum over some processes says at most how much they use
//! ([`resident`]). Their share is right (`Pss`, proportional set size: a page that n processes have
//! mapped counts for one n-th in each), but the kernel walks all page tables for it, which takes
//! milliseconds for a gigabyte ([`proportional`]).

use nix::unistd::{SysconfVar, sysconf};
use std::fs;

/// The most processes of one tree that are counted.
const TREE_LIMIT: usize = 4096;

/// A process and its living descendants. Children are found by the threads that have started them.
#[must_use]
pub fn tree(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<i32>().ok()));
        }
        if found.len() >= TREE_LIMIT {
            found.truncate(TREE_LIMIT);
            break;
        }
    }
    found
}

/// Resident memory of a process in bytes (`/proc/PID/statm`, second field, in pages); `None` if it
/// has ended.
#[must_use]
pub fn resident(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten()?;
    Some(pages * u64::try_from(page).ok()?)
}

/// The share of a process in resident memory, in bytes; where the system does not tell, what no
/// file holds. `None` if it has ended.
#[must_use]
pub fn proportional(pid: i32) -> Option<u64> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes << 10)
    };
    // One that has changed its user or is not to be dumped hides the first.
    field("smaps_rollup", "Pss:")
        .or_else(|| Some(field("status", "RssAnon:")? + field("status", "RssShmem:")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio, id};

    fn own() -> i32 {
        id().cast_signed()
    }

    #[test]
    fn a_share_is_part_of_what_is_resident() {
        let (share, all) = (proportional(own()), resident(own()));
        assert!(share.is_some_and(|share| share > 0) && share <= all.map(|all| all * 2), "{share:?} {all:?}");
        assert_eq!((proportional(i32::MAX), resident(i32::MAX)), (None, None));
    }

    #[test]
    fn a_tree_has_the_children_of_all_threads() -> std::io::Result<()> {
        let thread = std::thread::spawn(|| Command::new("cat").stdin(Stdio::piped()).spawn());
        // The kernel hands children of a thread that has ended to another one.
        let mut child = thread.join().unwrap_or_else(|_| Err(std::io::Error::other("panicked")))?;
        assert!(tree(own()).contains(&child.id().cast_signed()));
        child.kill()?;
        child.wait().map(drop)
    }
}
