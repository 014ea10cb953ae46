//! The children of this process, those that it has adopted among them.

use std::fs::File;
use std::io::{self, Read};

/// Most that is read at once, some ten thousand children.
const LIST_LIMIT: u64 = 64 << 10;

/// The numbers of the main thread's children, to which those come that this process adopts; the
/// oldest first. A child that has ended stays in the list until it is waited for. The list is
/// complete unless another thread waits for a child at the same time.
///
/// # Errors
///
/// The kernel has no such list: it was built without `CONFIG_PROC_CHILDREN`, or `/proc` is not
/// there.
pub fn children() -> io::Result<Vec<i32>> {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    let mut text = String::new();
    File::open(path)?.take(LIST_LIMIT).read_to_string(&mut text)?;
    Ok(numbers(&text))
}

/// The numbers of a list, each of which a space follows; one that is cut off is left out.
fn numbers(text: &str) -> Vec<i32> {
    let whole = text.rsplit_once(' ').map_or("", |(whole, _)| whole);
    whole.split(' ').filter_map(|number| number.parse().ok()).filter(|number| *number > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn a_number_that_is_cut_off_is_nobodys() {
        assert_eq!(numbers("12 345 6"), [12, 345]);
        assert_eq!(numbers("12 345 67 "), [12, 345, 67]);
        assert_eq!(numbers("12"), [0; 0]);
        assert_eq!(numbers(""), [0; 0]);
    }

    #[test]
    fn numbers_that_mean_more_than_one_process_are_nobodys() {
        assert_eq!(numbers("-1 0 1 2 x "), [2]);
    }
}
