//! Requests low latency from the machine: `low-latency` and `priority` of `[supervisor]`.
//!
//! The system may refuse both. That is a warning: the show runs without them, with a less even
//! latency.
//!
//! The priority applies to the thread that requests it, which is the event loop's, and to no thread
//! or process that it starts: a script with a real-time priority could keep all others from
//! running. It is therefore requested last, when the supervisor's other threads run already.

use mm_config::{Priority, SupervisorOptions};
use mm_shared::sys::priority::{SchedulingClass, schedule_this_thread};
use rustix::process::{Resource, getrlimit, setpriority_process};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A number of microseconds written to this device bounds how long a core may take to wake up,
/// until the device is closed (kernel documentation, "PM Quality Of Service Interface").
const LATENCY_DEVICE: &str = "/dev/cpu_dma_latency";

/// The granted requests. Dropping it withdraws `low-latency`.
#[derive(Debug)]
pub struct Realtime {
    /// Keeps the cores out of deep sleep as long as it is open.
    latency: Option<File>,
}

/// The system refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Which request, and why.
    pub message: String,
    /// How to make it work.
    pub hint: String,
}

impl Realtime {
    /// Makes the requests of the show, and warns of those that are refused. To be called by the
    /// event loop's thread.
    #[must_use]
    pub fn request(options: &SupervisorOptions) -> Self {
        let mut realtime = Self { latency: None };
        if options.low_latency {
            realtime.apply_low_latency(true);
        }
        if options.priority.is_some() {
            realtime.apply_priority(options.priority);
        }
        realtime
    }

    /// `low-latency` is on or off from now on.
    pub fn apply_low_latency(&mut self, on: bool) {
        self.latency = on.then(|| keep_awake(Path::new(LATENCY_DEVICE)).inspect_err(warn).ok()).flatten();
    }

    /// `priority` has this value from now on; without one it is that of an ordinary process,
    /// nice 0.
    pub fn apply_priority(&mut self, priority: Option<Priority>) {
        if let Err(refused) = prioritise(priority.unwrap_or(Priority::Nice(0))) {
            warn(&refused);
        }
    }
}

fn warn(refused: &Refused) {
    tracing::warn!(event = "realtime_refused", "{refused}\nhint: {}", refused.hint);
}

/// Keeps the cores out of deep sleep as long as the file is open.
///
/// # Errors
///
/// There is no such device, or this user may not write to it.
pub fn keep_awake(device: &Path) -> Result<File, Refused> {
    let refused = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "this kernel does not have that device, as in many containers and virtual machines"
            }
            _ => {
                "allow a group to write to it, for instance with the udev rule \
                 `KERNEL==\"cpu_dma_latency\", GROUP=\"audio\", MODE=\"0660\"`"
            }
        };
        let message = format!("`low-latency` is refused: cannot write to `{}`: {error}", device.display());
        Refused { message, hint: hint.to_owned() }
    };
    let mut file = OpenOptions::new().write(true).open(device).map_err(refused)?;
    file.write_all(&0_i32.to_ne_bytes()).map_err(refused)?;
    Ok(file)
}

/// Gives the calling thread, and it alone, a priority.
///
/// # Errors
///
/// The limits of this process do not allow it.
pub fn prioritise(priority: Priority) -> Result<(), Refused> {
    let outcome = match priority {
        Priority::Fifo(level) => schedule_this_thread(SchedulingClass::Fifo(level)),
        // Threads and processes that this thread starts inherit a nice value above 0, where it does
        // no harm.
        Priority::Nice(nice) => schedule_this_thread(SchedulingClass::Normal)
            .and_then(|()| setpriority_process(None, nice).map_err(io::Error::from)),
    };
    outcome.map_err(|error| refusal(priority, &error))
}

fn refusal(priority: Priority, error: &io::Error) -> Refused {
    let allowed = getrlimit(match priority {
        Priority::Fifo(_) => Resource::Rtprio,
        Priority::Nice(_) => Resource::Nice,
    });
    let allowed = allowed.current.unwrap_or(u64::MAX);
    match priority {
        Priority::Fifo(level) => refused_fifo(level, allowed, error),
        Priority::Nice(nice) => refused_nice(nice, allowed, error),
    }
}

fn refused_fifo(level: u8, allowed: u64, error: &io::Error) -> Refused {
    let message = format!("`priority = fifo:{level}` is refused: {error}");
    if allowed >= u64::from(level) {
        let hint = "the limit allows it, so this control group may have no time for real-time threads; \
                    a nice value such as `priority = -10` does not need any";
        return Refused { message, hint: hint.to_owned() };
    }
    let message = format!("{message}; the limit `rtprio` is {allowed}");
    let hint = format!(
        "`LimitRTPRIO={level}` in the unit file, or `USER - rtprio {level}` in /etc/security/limits.conf"
    );
    Refused { message, hint }
}

/// The limit counts in the other direction: 20 is nice 0, 40 is nice -20 (getrlimit(2),
/// `RLIMIT_NICE`).
fn refused_nice(nice: i32, allowed: u64, error: &io::Error) -> Refused {
    let lowest = 20 - i64::try_from(allowed.min(40)).unwrap_or(0);
    Refused {
        message: format!("`priority = {nice}` is refused: {error}; the limit `nice` is {}", lowest.min(19)),
        hint: format!(
            "`LimitNICE={nice}` in the unit file, or `USER - nice {nice}` in /etc/security/limits.conf"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mm_shared::sys::priority::class_of_this_thread;
    use rustix::process::getpriority_process;
    use std::thread;

    fn denied() -> io::Error {
        io::Error::from_raw_os_error(nix::errno::Errno::EPERM as i32)
    }

    fn in_a_thread<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
        thread::spawn(act).join().expect("no panic there")
    }

    #[test]
    fn the_cores_are_told_to_wake_up_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let device = folder.path().join("latency");
        std::fs::write(&device, "").expect("a file");
        let held = keep_awake(&device).expect("permitted");
        assert_eq!(std::fs::read(&device).expect("readable"), [0, 0, 0, 0]);
        drop(held);
    }

    #[test]
    fn a_missing_device_is_refused_with_the_reason() {
        let refused = keep_awake(Path::new("/dev/no-such-device")).expect_err("there is none");
        assert!(refused.message.contains("`/dev/no-such-device`"), "{refused}");
        assert!(refused.hint.contains("kernel"), "{}", refused.hint);
    }

    #[test]
    fn a_nice_value_is_that_of_this_thread_alone() {
        let others = || getpriority_process(Some(rustix::process::getpid()));
        let before = others();
        let (own, after) = in_a_thread(move || {
            prioritise(Priority::Nice(19)).expect("everybody may be nicer");
            (getpriority_process(None), others())
        });
        assert_eq!((own, after), (Ok(19), before));
    }

    #[test]
    fn fifo_is_set_or_refused_with_a_hint() {
        match in_a_thread(|| prioritise(Priority::Fifo(5)).map(|()| class_of_this_thread())) {
            Ok(class) => assert_eq!(class.ok(), Some((SchedulingClass::Fifo(5), true))),
            Err(refused) => assert!(refused.message.contains("`priority = fifo:5`"), "{refused}"),
        }
    }

    #[test]
    fn a_refusal_names_the_limit_and_how_to_raise_it() {
        let refused = refused_fifo(30, 0, &denied());
        assert!(refused.message.ends_with("the limit `rtprio` is 0"), "{refused}");
        assert!(refused.hint.contains("LimitRTPRIO=30"), "{}", refused.hint);
        let refused = refused_nice(-10, 0, &denied());
        assert!(refused.message.ends_with("the limit `nice` is 19"), "{refused}");
        assert_eq!(refused_nice(-10, 25, &denied()).message.rsplit(' ').next(), Some("-5"));
        assert!(refused.hint.contains("LimitNICE=-10"), "{}", refused.hint);
    }

    #[test]
    fn a_control_group_without_real_time_is_suspected_where_the_limit_is_not_to_blame() {
        assert!(refused_fifo(30, 99, &denied()).hint.contains("control group"));
    }
}
