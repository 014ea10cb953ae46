//! Logs which sources send more than can be routed, so that their events were conflated.

use super::Router;
use crate::ids::InstanceId;
use crate::show::LiveShow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the counts are compared while they grow.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// There is one line per source and interval.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What was logged so far.
#[derive(Debug, Default)]
pub struct ConflationMonitor {
    /// The count of all sources that is logged already.
    all: u64,
    next_check: Option<Instant>,
    reported: HashMap<InstanceId, Reported>,
}

/// The last line about a source.
#[derive(Debug, Clone, Copy)]
struct Reported {
    count: u64,
    at: Instant,
}

impl ConflationMonitor {
    /// Logs the sources whose count has grown, each once per minute at most. Called in each turn of
    /// the event loop.
    pub fn check(&mut self, router: &Router, show: &LiveShow, now: Instant) {
        if router.all_conflated() == self.all || self.next_check.is_some_and(|next| now < next) {
            return;
        }
        self.next_check = Some(now + CHECK_INTERVAL);
        let mut all_logged = true;
        for live in show.live_instances() {
            let count = router.conflated(live.id);
            match self.news(live.id, count, now) {
                News::None => {}
                News::Later => all_logged = false,
                News::Events(conflated) => {
                    let name = &live.instance.name;
                    tracing::warn!(
                        event = "events_conflated",
                        instance = %name,
                        conflated,
                        "`{name}` sends more than can be routed; {conflated} events were replaced by a \
                         later one of their channel"
                    );
                }
            }
        }
        if all_logged {
            self.all = router.all_conflated();
        }
    }

    fn news(&mut self, id: InstanceId, count: u64, now: Instant) -> News {
        let reported = self.reported.get(&id).copied();
        let before = reported.map_or(0, |reported| reported.count);
        if count <= before {
            return News::None;
        }
        if reported.is_some_and(|reported| now < reported.at + LOG_INTERVAL) {
            return News::Later;
        }
        self.reported.insert(id, Reported { count, at: now });
        News::Events(count - before)
    }
}

/// What there is to log about a source.
#[derive(Debug, PartialEq, Eq)]
enum News {
    None,
    /// Something, in a while.
    Later,
    /// So many events were conflated since the last line.
    Events(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_logged_at_once_then_once_per_minute_with_all_that_came_in_between() {
        let (mut monitor, start) = (ConflationMonitor::default(), Instant::now());
        let mut news =
            |count, seconds| monitor.news(InstanceId(1), count, start + Duration::from_secs(seconds));
        assert_eq!(news(0, 0), News::None);
        assert_eq!(news(5, 1), News::Events(5));
        assert_eq!(news(5, 2), News::None);
        assert_eq!(news(9, 3), News::Later);
        assert_eq!(news(12, 61), News::Events(7));
    }

    #[test]
    fn sources_do_not_share_their_minute() {
        let (mut monitor, now) = (ConflationMonitor::default(), Instant::now());
        assert_eq!(monitor.news(InstanceId(1), 5, now), News::Events(5));
        assert_eq!(monitor.news(InstanceId(2), 1, now), News::Events(1));
    }
}
