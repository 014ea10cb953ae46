//! Fault `wall-clock-set`: a wall clock that is set a year ahead, and back.
//!
//! The machine's own clock is not touched: a library that is loaded before all others shifts what
//! the programs of the show are told, by as many seconds as a file says at that moment.

use crate::assert_serves;
use mm_tests::osc::F;
use mm_tests::{BackgroundTraffic, Event, TestShow, wait_until};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long *shift(void) {
    static volatile long *seconds;
    static long none;
    if (!seconds) {
        int file = open(getenv("MM_TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
        void *mapped = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
        seconds = mapped == MAP_FAILED ? &none : mapped;
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        now->tv_sec += *shift();
    return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    int outcome = clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return outcome;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to)
        *to = now.tv_sec;
    return now.tv_sec;
}
"#;

const SCRIPT: &str = "
    import midimonster, os, time
    print('year', time.gmtime().tm_year)
    def tick():
        midimonster.output('tick', (midimonster.timestamp() % 1000) / 1000)
    midimonster.interval(tick, 10)
    def ask(value):
        midimonster.output('answer', value)
    def year(value):
        print('now', time.gmtime().tm_year)
    def die(value):
        os._exit(3)
";

const YEAR: i64 = 366 * 24 * 3600;

/// The compiled library; `None` without a compiler.
fn library(stage: &TestShow) -> Option<PathBuf> {
    let path = stage.directory().join("clock.so");
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&path)
        .args(["-x", "c", "-", "-ldl"])
        .stdin(Stdio::piped())
        .spawn()
        .ok()?;
    compiler.stdin.take()?.write_all(LIBRARY.as_bytes()).ok()?;
    compiler.wait().is_ok_and(|status| status.success()).then_some(path)
}

#[test]
fn a_wall_clock_that_is_set_a_year_ahead_or_back_changes_nothing() {
    let stage = TestShow::new();
    let Some(library) = library(&stage) else {
        mm_tests::skip!("there is no `cc` to compile another clock with");
    };
    stage.python("h.py", SCRIPT);
    BackgroundTraffic::show(
        &stage,
        "[supervisor]\nstate-file = state\n[python py]\nmodule = h\nwatchdog = 1s\nbackoff = 50ms\n[map]\nnet./ask > py.h.ask\n\
         py.answer > net./answer\nnet./year > py.h.year\nnet./die > py.h.die\npy.tick > net./tick\n",
    );
    let clock = stage.write("clock", 0_i64.to_ne_bytes());
    let set = |shift: i64| fs::write(&clock, shift.to_ne_bytes()).expect("the stage is ours");
    let mut command = stage.show_command();
    command.env("LD_PRELOAD", &library).env("MM_TEST_CLOCK", &clock);
    let show = stage.start_command(command);
    show.wait_for(Event::named("show_running"));
    let others = BackgroundTraffic::start(&show);
    let year: i64 = {
        let printed = show.wait_for(Event::printed("py", "year "));
        printed.message.rsplit(' ').next().and_then(|year| year.parse().ok()).expect("a year")
    };
    let mut crashes = 0;
    for shift in [YEAR, -YEAR, 0] {
        set(shift);
        let years = show.log().count(Event::printed("py", "now"));
        show.send("/year", &[F(0.5)]);
        let printed = show.log().wait_for_nth(years + 1, Event::printed("py", "now"));
        assert_eq!(printed.message, format!("now {}", year + shift.signum()));
        // Intervals go on, in both directions of time.
        for _ in 0..20 {
            wait_until("a tick", || show.peer().receive().path == "/tick");
        }
        // Two crashes in a row: at once, and after a delay.
        for _ in 0..2 {
            crashes += 1;
            show.send("/die", &[F(0.5)]);
            show.log().wait_for_nth(crashes + 1, Event::named("worker_ready").instance("py"));
        }
        assert!(show.control().standing("py")["uptime_s"].as_u64() < Some(60));
    }
    assert_serves(&show);
    assert_eq!(show.log().count(Event::named("worker_hung")), 0);
    show.worker("py").signal(Signal::SIGKILL);
    show.log().wait_for_nth(crashes + 2, Event::named("worker_ready").instance("py"));
    others.finish(&show);
    show.stop();
}
