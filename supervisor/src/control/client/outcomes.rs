//! The outcomes of a command: one line per instance, and whole tracebacks.

use super::super::protocol::Outcome;
use super::text::{Paint, block, clean, painted};
use std::fmt::Write as _;

/// The successes for standard output, and the failures for standard error.
pub(super) fn render(outcomes: &[Outcome], color: bool) -> (String, String) {
    let (mut done, mut failed) = (String::new(), String::new());
    for outcome in outcomes {
        let (name, message) = (clean(&outcome.instance), clean(&outcome.message));
        // writing to a String cannot fail
        if outcome.ok {
            let _ = writeln!(done, "{name}: {message}");
        } else {
            let _ = writeln!(failed, "{}: `{name}`: {message}", painted("error", Paint::Red, color));
            failed.push_str(&outcome.traceback.as_deref().map(block).unwrap_or_default());
        }
    }
    (done, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_with_their_tracebacks() {
        let outcomes = [
            Outcome {
                instance: "lights".into(),
                ok: true,
                message: "running, pid 4711 after 12 ms".into(),
                traceback: None,
            },
            Outcome {
                instance: "sound".into(),
                ok: false,
                message: "import failed, the old worker goes on".into(),
                traceback: Some(
                    "Traceback (most recent call last):\n  File \"s.py\", line 1\nNameError: x\n".into(),
                ),
            },
        ];
        let (done, failed) = render(&outcomes, false);
        insta::assert_snapshot!(done, @"lights: running, pid 4711 after 12 ms");
        insta::assert_snapshot!(failed, @r#"
        error: `sound`: import failed, the old worker goes on
            Traceback (most recent call last):
              File "s.py", line 1
            NameError: x
        "#);
    }
}
