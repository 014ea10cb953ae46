//! The interpreter of this process: started once, ended once.
//!
//! It is set up as `python3` would be, since that is what scripts are written for: it honours the
//! environment (PYTHONPATH and its like) and finds the packages of the Python that the binary is
//! linked with, or those of a virtual environment. It differs where a show needs it to: it ignores
//! Ctrl-C, output is not buffered, and modules leave no compiled files behind (with these, a second
//! change within one second would go unnoticed).

use super::api::midimonster;
use super::embedded::embedded;
use super::{busy, forked};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{CStr, CString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A worker that gets this signal writes the Python stacks of all its threads to standard error,
/// whatever it is doing. It is `SIGRTMIN+8` of the C library: one that neither Python nor, in all
/// likelihood, a script uses.
pub const STACK_SIGNAL: i32 = 42;

/// The Python that the binary was built for.
const BUILT_FOR: &str = env!("MM_PYTHON_EXECUTABLE");
const BUILT_VERSION: &str = env!("MM_PYTHON_VERSION");

const PRELUDE: &CStr = embedded(concat!(include_str!("prelude.py"), "\0"));
const LEVELS: &CStr = embedded(concat!(include_str!("after_import.py"), include_str!("levels.py"), "\0"));

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("`{0}` is not a virtual environment: it has no `pyvenv.cfg`")]
    NoVenv(PathBuf),
    #[error("the virtual environment `{0}` is not for Python {BUILT_VERSION}, which mm-worker is built with")]
    OtherVenv(PathBuf),
    #[error("a path holds a NUL byte")]
    Path(#[from] std::ffi::NulError),
    #[error("the Python interpreter does not start: {0}")]
    Interpreter(String),
}

impl StartError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            StartError::NoVenv(venv) => Some(format!("`{BUILT_FOR} -m venv {}` makes one", venv.display())),
            StartError::OtherVenv(venv) => {
                Some(format!("create it again with `{BUILT_FOR} -m venv --clear {}`", venv.display()))
            }
            StartError::Path(_) | StartError::Interpreter(_) => None,
        }
    }
}

/// The version of the library that is linked, such as `3.11.7`.
pub fn version() -> String {
    // SAFETY: it may be called at any time, and returns a static string
    let version = unsafe { ffi::Py_GetVersion() };
    // SAFETY: the same
    let version = unsafe { CStr::from_ptr(version) }.to_string_lossy();
    version.split(' ').next().unwrap_or_default().to_owned()
}

/// Starts the interpreter; this thread holds its lock from then on, and is its main thread. Signals
/// that the script handles write into `wakeup_fd`. Child processes of the script look for modules
/// in `child_modules` too.
pub fn start(venv: Option<&Path>, wakeup_fd: RawFd, child_modules: Option<&Path>) -> Result<(), StartError> {
    let executable = match venv {
        Some(venv) => Some(venv_executable(venv)?),
        None => Some(PathBuf::from(BUILT_FOR)).filter(|path| path.is_file()),
    };
    pyo3::append_to_inittab!(midimonster);
    initialize(executable.as_deref())?;
    Python::attach(|py| prepare(py, wakeup_fd, child_modules))
        .map_err(|error| StartError::Interpreter(error.to_string()))
}

/// Ends the interpreter: waits for threads that are not daemons, runs exit handlers, writes out
/// what is buffered.
pub fn finish() {
    // SAFETY: this is the main thread, it holds the lock, and no code of this program uses Python
    // after this
    unsafe { ffi::Py_FinalizeEx() };
}

/// Writes out what is buffered, for an end without [`finish`].
pub fn flush(py: Python<'_>) {
    for stream in ["stdout", "stderr"] {
        // A closed stream has nothing to write out.
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
}

fn venv_executable(venv: &Path) -> Result<PathBuf, StartError> {
    if !venv.join("pyvenv.cfg").is_file() {
        return Err(StartError::NoVenv(venv.to_owned()));
    }
    if !venv.join(format!("lib/python{BUILT_VERSION}/site-packages")).is_dir() {
        return Err(StartError::OtherVenv(venv.to_owned()));
    }
    Ok(venv.join("bin/python"))
}

fn initialize(executable: Option<&Path>) -> Result<(), StartError> {
    let name = CString::new(format!("python{BUILT_VERSION}"))?;
    let executable = executable.map(|path| CString::new(path.as_os_str().as_bytes())).transpose()?;
    let mut config = StartConfig::new();
    config.set_name(&name)?;
    if let Some(executable) = &executable {
        config.set_executable(executable)?;
    }
    config.start()
}

/// What every script finds.
fn prepare(py: Python<'_>, wakeup_fd: RawFd, child_modules: Option<&Path>) -> PyResult<()> {
    let globals = PyDict::new(py);
    globals.set_item("__builtins__", py.import("builtins")?)?;
    globals.set_item("stack_signal", STACK_SIGNAL)?;
    globals.set_item("wakeup_fd", wakeup_fd)?;
    globals.set_item("child_modules", child_modules.map(Path::as_os_str))?;
    globals.set_item("forked", wrap_pyfunction!(forked, py)?)?;
    py.run(PRELUDE, Some(&globals), None)?;
    let globals = PyDict::new(py);
    globals.set_item("__builtins__", py.import("builtins")?)?;
    py.run(LEVELS, Some(&globals), None)?;
    busy::start(py)?;
    // So the name is taken, and a script of that name is refused.
    py.import("midimonster").map(drop)
}

/// CPython's start-up configuration, cleared when it is no longer needed.
struct StartConfig(Box<ffi::PyConfig>);

impl StartConfig {
    fn new() -> StartConfig {
        // Boxed, since it must not move between these calls.
        let mut config = Box::new(std::mem::MaybeUninit::<ffi::PyConfig>::zeroed());
        // SAFETY: it is writable memory for a configuration, which this call fills
        unsafe { ffi::PyConfig_InitPythonConfig(config.as_mut_ptr()) };
        // SAFETY: filled by the call before
        let mut config = unsafe { config.assume_init() };
        config.parse_argv = 0;
        config.install_signal_handlers = 0;
        config.buffered_stdio = 0;
        config.write_bytecode = 0;
        config.safe_path = 0;
        StartConfig(config)
    }

    fn set_name(&mut self, name: &CStr) -> Result<(), StartError> {
        let config: *mut ffi::PyConfig = &mut *self.0;
        // SAFETY: the pointer is to our own, live configuration
        let field = unsafe { &raw mut (*config).program_name };
        // SAFETY: the configuration is initialised and `field` is one of its strings
        checked(unsafe { ffi::PyConfig_SetBytesString(config, field, name.as_ptr()) })
    }

    fn set_executable(&mut self, path: &CStr) -> Result<(), StartError> {
        let config: *mut ffi::PyConfig = &mut *self.0;
        // SAFETY: the pointer is to our own, live configuration
        let field = unsafe { &raw mut (*config).executable };
        // SAFETY: the configuration is initialised and `field` is one of its strings
        checked(unsafe { ffi::PyConfig_SetBytesString(config, field, path.as_ptr()) })
    }

    fn start(self) -> Result<(), StartError> {
        // SAFETY: the configuration is complete, and no interpreter was started before
        checked(unsafe { ffi::Py_InitializeFromConfig(&*self.0) })
    }
}

impl Drop for StartConfig {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is cleared once
        unsafe { ffi::PyConfig_Clear(&mut *self.0) };
    }
}

fn checked(status: ffi::PyStatus) -> Result<(), StartError> {
    // SAFETY: the status came from Python, and is only looked at
    if unsafe { ffi::PyStatus_Exception(status) } == 0 {
        return Ok(());
    }
    if status.err_msg.is_null() {
        return Err(StartError::Interpreter(format!("it asks to exit with status {}", status.exitcode)));
    }
    // SAFETY: the message is a static string, and it is not null
    let message = unsafe { CStr::from_ptr(status.err_msg) };
    Err(StartError::Interpreter(message.to_string_lossy().into_owned()))
}
