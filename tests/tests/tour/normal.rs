//! The one place that knows which words differ from run to run: times, durations, numbers of
//! processes, addresses and amounts of memory.

/// The line with these words replaced.
pub fn normal(line: &str) -> String {
    let mut normal = String::new();
    let mut before = "";
    let line = without_date(line);
    let mut rest = line;
    while let Some(start) = rest.find(|character: char| !character.is_whitespace()) {
        let end = rest[start..].find(char::is_whitespace).map_or(rest.len(), |length| start + length);
        let (space, word, after) = (&rest[..start], &rest[start..end], &rest[end..]);
        let replaced = replace(before, word, after.split_whitespace().next().unwrap_or_default());
        // `1m 2s` is a duration like `2s`.
        let is_duration = replaced.trim_end_matches([',', ')', ';']) == "T";
        if is_duration && normal.ends_with(" T") {
            normal.push_str(&replaced[1..]);
        } else {
            normal.push_str(space);
            normal.push_str(&replaced);
        }
        (before, rest) = (word, after);
    }
    normal
}

/// Whether the line begins with a time, as a line of the log does.
pub fn has_time(line: &str) -> bool {
    without_date(line).split(' ').next().is_some_and(is_time)
}

/// On a terminal the log has no dates.
fn without_date(line: &str) -> &str {
    match line.split_once(' ') {
        Some((date, rest)) if date.len() == 10 && date.bytes().filter(|byte| *byte == b'-').count() == 2 => {
            rest
        }
        _ => line,
    }
}

fn replace(before: &str, word: &str, after: &str) -> String {
    let bare = word.trim_start_matches('(').trim_end_matches([',', ')', ';']);
    let replacement = if is_time(bare) {
        "TIME"
    } else if word.starts_with("pid=") {
        return "pid=N".to_owned();
    } else if bare.starts_with("0x") && bare.len() > 8 {
        "0xN"
    } else if is_number(bare) && (before == "pid" || after.starts_with("ms")) {
        "N"
    } else if is_number(bare) && before == "lamp" && after == "of" {
        // How far the demo's light is.
        "N"
    } else if bare.split('/').all(is_duration) {
        "T"
    } else {
        return word.to_owned();
    };
    word.replace(bare, replacement)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// As `07:32:17.343`.
fn is_time(word: &str) -> bool {
    word.len() == 12
        && word.split([':', '.']).map(str::len).eq([2, 2, 2, 3])
        && word.split([':', '.']).all(is_number)
}

fn is_duration(word: &str) -> bool {
    ["us", "ms", "s", "m", "h", "d"].iter().any(|unit| word.strip_suffix(unit).is_some_and(is_number))
}

/// Lines of which some may be rows of the table of instances, whose columns are as wide as what is
/// in them.
#[derive(Default)]
pub struct Table {
    columns: Vec<String>,
}

impl Table {
    pub fn normal(&mut self, line: &str) -> String {
        if line.starts_with("INSTANCE ") || line.starts_with("CHANNEL ") {
            self.columns = cells(line).map(str::to_owned).collect();
        } else if line.is_empty() {
            self.columns.clear();
        }
        if self.columns.is_empty() {
            return normal(line);
        }
        let of_process = |column: &str| ["PID", "MEMORY"].contains(&column);
        let cells = cells(line).enumerate().map(|(number, cell)| match self.columns.get(number) {
            Some(column) if of_process(column) && cell != "-" && cell != column => "N".to_owned(),
            _ => normal(cell),
        });
        cells.collect::<Vec<_>>().join("  ")
    }
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty())
}

#[test]
fn what_differs_from_run_to_run_is_equal() {
    let pairs = [
        ("2026-11-28 19:11:10.761 INFO  starting", "07:32:17.343 INFO  starting"),
        ("[room] ready after 6 ms pid=32319", "[room] ready after 1234 ms pid=4"),
        ("show fade, pid 31337, up 3m 2s, 2 of 2", "show fade, pid 7, up 41s, 2 of 2"),
        ("0.64 (2x, 4s ago)", "0.64 (2x, 1m 4s ago)"),
        ("Current thread 0x00007f6c89e30880 (most", "Current thread 0x00007f20ff08f8c0 (most"),
    ];
    for (one, other) in pairs {
        assert_eq!(normal(one), normal(other));
    }
    assert_ne!(normal("lamp at 0.25"), normal("lamp at 0.5"));
    assert_eq!(normal("  3 | a"), "  3 | a");
}
