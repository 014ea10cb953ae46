//! Whether the callable of a socket does anything about what it is called for.
//!
//! The sockets are level-triggered: a descriptor that stays readable is reported in each turn. A
//! callable that cannot make it quiet (the other end has hung up, it raises before it reads, it
//! reads nothing) would take a whole core. So a report that is like the one before its last call
//! counts as a *stall*. Not every stall is a fault: the next packet may be as long as the last one.
//! After a few of them the socket is also watched by edge, which shows whether something new has
//! arrived, and only many stalls without an arrival *park* it: it is called again after a delay
//! that grows, or at once when something arrives.

/// A stall more than this, and arrivals are looked at.
const WATCH_STALLS: u32 = 8;

/// So many stalls park a socket that has hung up: nothing more comes from there.
const HUNG_UP_STALLS: u32 = 16;

/// So many park one that has not, and only after [`STALL_TIME`]: more than packets of one length
/// that wait in a receive buffer of the usual size.
const OPEN_STALLS: u32 = 4096;

const STALL_TIME: u64 = 1_000_000_000;

/// How long a socket stays parked at first, in nanoseconds; each further time twice as long.
const FIRST_DELAY: u64 = 10_000_000;

/// The longest delay.
const DELAY_LIMIT: u64 = 10_000_000_000;

/// What is known of a socket when it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Bytes that can be read; `None` where the kind of file has no such number.
    pub unread: Option<u32>,
    /// The other end is gone, or there is an error.
    pub hung_up: bool,
}

/// What to do with a socket that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Call its callable.
    Call,
    /// The same, and watch it by edge too.
    WatchAndCall,
    /// The same, and watch it by edge no longer.
    UnwatchAndCall,
    /// Do not call it, and do not watch its level until it is due.
    Park,
}

/// One look at all sockets.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Looks are numbered without gaps.
    pub number: u64,
    /// The last look before this that found all that was readable then. The others had more to
    /// report than one look takes.
    pub complete: u64,
    /// Nanoseconds of the monotonic clock.
    pub now: u64,
}

/// The history of one socket. Times are nanoseconds of the monotonic clock.
#[derive(Debug)]
pub struct Progress {
    /// The last report, and the number of the look that found it.
    last: Option<(u64, Readiness)>,
    stalls: u32,
    /// When the first of the stalls was.
    since: u64,
    is_watched: bool,
    /// When it is to be called again.
    due: Option<u64>,
    delay: u64,
    /// The look from which on it is called again because it was due; nothing has shown yet that
    /// this helps.
    trial: Option<u64>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress {
            last: None,
            stalls: 0,
            since: 0,
            is_watched: false,
            due: None,
            delay: FIRST_DELAY,
            trial: None,
        }
    }
}

impl Progress {
    /// It is readable in this look.
    pub fn report(&mut self, readiness: Readiness, look: Look) -> Step {
        let now = look.now;
        let Some((then, before)) = self.last.replace((look.number, readiness)) else {
            // The first report after it was parked shows nothing yet.
            let is_trial = self.trial.is_some_and(|trial| trial >= look.complete);
            return if is_trial { Step::Call } else { self.moved(now) };
        };
        if then < look.complete || before != readiness {
            return self.moved(now);
        }
        self.stalls += 1;
        let stalls_limit = if readiness.hung_up { HUNG_UP_STALLS } else { OPEN_STALLS };
        let is_stuck = self.stalls >= stalls_limit
            && (readiness.hung_up || now.saturating_sub(self.since) >= STALL_TIME);
        if self.is_watched && (self.trial.is_some() || is_stuck) {
            return self.park(now);
        }
        if self.stalls >= WATCH_STALLS && !self.is_watched {
            self.is_watched = true;
            return Step::WatchAndCall;
        }
        Step::Call
    }

    /// Something new has arrived. True: it was parked, and is to be watched again.
    pub fn arrived(&mut self, now: u64) -> bool {
        self.stalls = self.stalls.min(WATCH_STALLS);
        self.since = now;
        self.trial = None;
        self.due.take().is_some()
    }

    /// When a parked socket is to be called again.
    pub fn due(&self) -> Option<u64> {
        self.due
    }

    /// Whether it is watched by edge.
    pub fn is_watched(&self) -> bool {
        self.is_watched
    }

    /// It is called again from this look on, to see whether that helps.
    pub fn begin_trial(&mut self, look: Look) {
        self.due = None;
        self.last = None;
        self.trial = Some(look.number);
    }

    fn moved(&mut self, now: u64) -> Step {
        let was_watched = self.is_watched;
        let last = self.last;
        *self = Progress { last, since: now, ..Progress::default() };
        if was_watched { Step::UnwatchAndCall } else { Step::Call }
    }

    fn park(&mut self, now: u64) -> Step {
        self.due = Some(now + self.delay);
        self.delay = (2 * self.delay).min(DELAY_LIMIT);
        self.trial = None;
        self.last = None;
        Step::Park
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GONE: Readiness = Readiness { unread: Some(0), hung_up: true };
    const PACKET: Readiness = Readiness { unread: Some(20), hung_up: false };

    /// The look of this number; all before it were complete.
    fn look(number: u64, now: u64) -> Look {
        Look { number, complete: number.saturating_sub(1), now }
    }

    /// Reports a socket in each look until it is parked; returns the number of calls until then.
    fn calls_until_parked(progress: &mut Progress, readiness: Readiness, number: &mut u64, now: u64) -> u32 {
        for calls in 0..1_000_000 {
            *number += 1;
            if progress.report(readiness, look(*number, now)) == Step::Park {
                return calls;
            }
        }
        panic!("it is never parked");
    }

    #[test]
    fn a_socket_that_hung_up_is_called_ever_more_rarely() {
        let (mut progress, mut number) = (Progress::default(), 0);
        assert_eq!(calls_until_parked(&mut progress, GONE, &mut number, 0), HUNG_UP_STALLS);
        let mut now = 0;
        for _ in 0..20 {
            let due = progress.due().expect("it is parked");
            assert!(due > now && due - now <= DELAY_LIMIT);
            now = due;
            progress.begin_trial(look(number + 1, now));
            assert_eq!(calls_until_parked(&mut progress, GONE, &mut number, now), 1);
        }
        assert_eq!(progress.due(), Some(now + DELAY_LIMIT));
    }

    #[test]
    fn data_from_a_socket_that_hung_up_is_read_at_full_speed_to_its_end() {
        let mut progress = Progress::default();
        for left in (1..100_000_u32).rev() {
            let readiness = Readiness { unread: Some(left), hung_up: true };
            assert_eq!(progress.report(readiness, look(u64::from(100_000 - left), 0)), Step::Call);
        }
    }

    #[test]
    fn packets_of_one_length_that_keep_arriving_are_no_stall() {
        let mut progress = Progress::default();
        for number in 0..100_000 {
            let now = number * 10_000;
            assert_ne!(progress.report(PACKET, look(number, now)), Step::Park);
            if progress.is_watched() {
                progress.arrived(now);
            }
        }
    }

    #[test]
    fn a_callable_that_reads_nothing_is_parked_and_called_at_once_when_something_arrives() {
        let mut progress = Progress::default();
        let at = |number| look(number, number * 10_000);
        let parked = (1..1_000_000).find(|number| progress.report(PACKET, at(*number)) == Step::Park);
        let number = parked.expect("it is parked in the end");
        assert!(progress.arrived(number * 10_000));
        assert_eq!(progress.due(), None);
        assert_eq!(progress.report(PACKET, at(number + 1)), Step::UnwatchAndCall);
    }

    #[test]
    fn a_socket_that_was_quiet_in_between_makes_progress() {
        let mut progress = Progress::default();
        for number in (0..100_000).step_by(2) {
            assert_eq!(progress.report(GONE, look(number, number * 1_000_000)), Step::Call);
        }
    }

    #[test]
    fn a_socket_that_has_to_wait_for_its_look_is_not_quiet() {
        let mut progress = Progress::default();
        let mut looks = (1..1000).map(|number| Look { number: 5 * number, complete: 0, now: 0 });
        assert!(looks.any(|look| progress.report(GONE, look) == Step::Park));
    }

    #[test]
    fn a_trial_that_helps_ends_the_delays() {
        let (mut progress, mut number) = (Progress::default(), 0);
        calls_until_parked(&mut progress, GONE, &mut number, 0);
        progress.begin_trial(look(number + 1, 0));
        assert_eq!(progress.report(GONE, look(number + 1, 0)), Step::Call);
        let data = Readiness { unread: Some(5), hung_up: false };
        assert_eq!(progress.report(data, look(number + 2, 0)), Step::UnwatchAndCall);
        number += 2;
        assert_eq!(calls_until_parked(&mut progress, GONE, &mut number, 0), HUNG_UP_STALLS);
        assert_eq!(progress.due(), Some(FIRST_DELAY));
    }

    #[test]
    fn a_trial_that_found_it_quiet_ends_the_delays() {
        let (mut progress, mut number) = (Progress::default(), 0);
        calls_until_parked(&mut progress, GONE, &mut number, 0);
        progress.begin_trial(look(number + 1, 0));
        assert_eq!(progress.report(GONE, look(number + 9, 0)), Step::UnwatchAndCall);
    }
}
