//! Which of the names that a script added its next worker gets.
//!
//! A script that makes up names for months would come to the end of its allowance and stay there.
//! So where more than half of the allowance is used up when a worker is started, names make room:
//! those on which the last worker that served has sent nothing, longest unused first, until half is
//! free. Names in use are kept however many they are.

use super::Slot;
use super::names::Names;
use mm_shared::control::NameAllowance;

/// The numbers of the added names that are kept, in their order; `None`: all of them. `life_start`
/// is the version of the values when the last worker began to serve.
pub fn kept(names: &Names, slots: &[Slot], life_start: u64) -> Option<Vec<u32>> {
    let NameAllowance { names: free, bytes: free_bytes } = names.allowance();
    let whole = NameAllowance::default();
    let is_enough = |free: u32, free_bytes: u32| free >= whole.names / 2 && free_bytes >= whole.bytes / 2;
    if is_enough(free, free_bytes) {
        return None;
    }
    let added = names.mapped()..names.len();
    let used = |number: usize| slots.get(number).map_or(0, |slot| slot.used);
    let mut unused: Vec<(u64, usize)> =
        added.clone().map(|number| (used(number), number)).filter(|(used, _)| *used <= life_start).collect();
    unused.sort_unstable();
    let mut is_kept = vec![true; names.len()];
    let (mut free, mut free_bytes) = (free, free_bytes);
    for (_, number) in unused {
        if is_enough(free, free_bytes) {
            break;
        }
        is_kept[number] = false;
        free += 1;
        free_bytes += names.get(number).and_then(|name| u32::try_from(name.len()).ok()).unwrap_or_default();
    }
    // As many as there are numbers for.
    Some(added.filter(|number| is_kept[*number]).map(|number| number as u32).collect())
}
