//! Exceptions as text: whole tracebacks as Python prints them, and a summary in one line.

use super::signature;
use pyo3::exceptions::PySyntaxError;
use pyo3::prelude::*;
use pyo3::types::PyTraceback;

/// A longer traceback, in bytes, is cut in the middle: both ends hold the important frames.
const TRACEBACK_LIMIT: usize = 32 * 1024;

/// The whole traceback, as the interpreter would print it.
pub fn format(py: Python<'_>, error: &PyErr) -> String {
    let text = with_python(py, error).unwrap_or_else(|_| without_python(py, error));
    cut(text.trim_end().to_owned())
}

/// The same for an exception that a call of `callable` has raised. One that was raised before the
/// callable began, since it takes other arguments, has no frames; then its `def` line is shown.
pub fn of_call(py: Python<'_>, error: &PyErr, callable: Option<&Bound<'_, PyAny>>) -> String {
    if is_quit_of_debugger(py, error) {
        return NO_TERMINAL.to_owned();
    }
    let text = format(py, error);
    let place = callable.filter(|_| error.traceback(py).is_none()).and_then(signature::place);
    match place.and_then(|(file, line, name)| frame(py, &file, line, &name).ok()) {
        Some(frame) => format!("Traceback (most recent call last):\n{frame}{text}"),
        None => text,
    }
}

/// A frame as Python prints it.
fn frame(py: Python<'_>, file: &str, line: u32, name: &str) -> PyResult<String> {
    let frames = vec![py.import("traceback")?.getattr("FrameSummary")?.call1((file, line, name))?];
    let lines = py.import("traceback")?.call_method1("format_list", (frames,))?;
    lines.try_iter()?.map(|line| line?.extract::<String>()).collect()
}

/// In place of the traceback of a debugger that read the end of its input.
const NO_TERMINAL: &str = "BdbQuit: the debugger needs a terminal, which scripts do not have; \
                           use `remote-pdb` or `debugpy`";

fn is_quit_of_debugger(py: Python<'_>, error: &PyErr) -> bool {
    let kind = error.get_type(py);
    let module = kind.getattr("__module__").and_then(|module| module.extract::<String>());
    module.is_ok_and(|module| module == "bdb") && kind.qualname().is_ok_and(|name| name == "BdbQuit")
}

/// The exception in one line, with the file and line that raised it.
pub fn summary(py: Python<'_>, error: &PyErr) -> String {
    let what = what(py, error);
    match place(py, error) {
        Some((file, line)) => format!("`{file}`, line {line}: {what}"),
        None => what,
    }
}

/// What makes two exceptions of one place the same kind: type, file and line. Not the message,
/// which may differ each time.
pub fn origin(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py).qualname().map_or_else(|_| String::new(), |name| name.to_string());
    match place(py, error) {
        Some((file, line)) => format!("{kind} {file}:{line}"),
        None => kind,
    }
}

/// Python's own formatting knows chains, groups, notes and syntax errors. Its module is imported
/// when the first exception needs it.
fn with_python(py: Python<'_>, error: &PyErr) -> PyResult<String> {
    // The traceback apart from its exception: up to Python 3.11 only that one lacks the importer's
    // own frames.
    let exception = (error.get_type(py), error.value(py), error.traceback(py));
    let lines = py.import("traceback")?.call_method1("format_exception", exception)?;
    lines.try_iter()?.map(|line| line?.extract::<String>()).collect()
}

/// Where the script has broken Python's own formatting.
fn without_python(py: Python<'_>, error: &PyErr) -> String {
    let frames = error.traceback(py).and_then(|traceback| traceback.format().ok()).unwrap_or_default();
    format!("{frames}{}", what(py, error))
}

fn what(py: Python<'_>, error: &PyErr) -> String {
    let kind = error.get_type(py).qualname().map_or_else(|_| "exception".into(), |name| name.to_string());
    let value = error.value(py);
    let message = if error.is_instance_of::<PySyntaxError>(py) {
        value.getattr("msg")
    } else {
        Ok(value.clone().into_any())
    };
    let message =
        message.and_then(|message| Ok(message.str()?.to_string_lossy().into_owned())).unwrap_or_default();
    match message.lines().next() {
        Some(line) => format!("{kind}: {}", cut(line.to_owned())),
        None => kind,
    }
}

/// Where it was raised: a syntax error holds that itself, for other exceptions it is the innermost
/// frame.
fn place(py: Python<'_>, error: &PyErr) -> Option<(String, u32)> {
    if error.is_instance_of::<PySyntaxError>(py) {
        let value = error.value(py);
        let file = value.getattr("filename").ok()?.extract().ok()?;
        return Some((file, value.getattr("lineno").ok()?.extract().ok()?));
    }
    innermost(error.traceback(py)?).ok()
}

fn innermost(traceback: Bound<'_, PyTraceback>) -> PyResult<(String, u32)> {
    let mut entry = traceback.into_any();
    loop {
        let next = entry.getattr("tb_next")?;
        if next.is_none() {
            break;
        }
        entry = next;
    }
    let file = entry.getattr("tb_frame")?.getattr("f_code")?.getattr("co_filename")?.extract()?;
    Ok((file, entry.getattr("tb_lineno")?.extract()?))
}

fn cut(text: String) -> String {
    if text.len() <= TRACEBACK_LIMIT {
        return text;
    }
    let (head, tail) = (
        text.floor_char_boundary(TRACEBACK_LIMIT / 2),
        text.ceil_char_boundary(text.len() - TRACEBACK_LIMIT / 2),
    );
    format!("{}\n[… {} bytes …]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_ends() {
        let text = cut(format!("start{}end", "ä".repeat(TRACEBACK_LIMIT)));
        assert!(text.len() < TRACEBACK_LIMIT + 100);
        assert!(text.starts_with("start") && text.ends_with("end"));
    }
}
