//! The backends of a running show, and which instance is at home in which of them.
//!
//! A backend that panics, or that cannot be opened while the show runs, is opened anew a little later; the rest of the
//! show goes on meanwhile.

use crate::backends::{Backend, EventSink, OpenError, Plan};
use crate::ids::InstanceId;
use crate::poller::{Interest, Poller, Wake};
use crate::show::LiveShow;
use crate::show::change::ShowChange;
use crate::status::{InstanceState, InstanceStatus};
use mm_shared::ChannelId;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long after a failure a backend is opened anew.
const RETRY: Duration = Duration::from_secs(2);

/// A backend with what it takes to open it.
struct BackendSlot {
    plan: Box<dyn Plan>,
    backend: Option<Box<dyn Backend>>,
    instances: Vec<InstanceId>,
    names: String,
    /// Whether it took an event in this step, so that it has something to flush.
    touched: bool,
    /// When to open it anew.
    retry: Option<Instant>,
}

/// All backends of a show.
#[derive(Default)]
pub struct BackendSet {
    /// A place is kept as long as the backend is there: wake-ups are known by it.
    places: Vec<Option<BackendSlot>>,
    /// By instance: the place of its backend.
    homes: Vec<Option<usize>>,
}

impl BackendSet {
    /// Opens what was planned for a show.
    ///
    /// # Errors
    ///
    /// The first backend that cannot be opened. Those before it are closed again.
    pub fn open(plans: Vec<Box<dyn Plan>>, show: &LiveShow) -> Result<Self, OpenError> {
        let mut hosts = Self { places: Vec::new(), homes: vec![None; show.id_limit()] };
        for plan in plans {
            let backend = plan.open()?;
            let place = hosts.settle(plan, show);
            if let Some(Some(host)) = hosts.places.get_mut(place) {
                host.backend = Some(backend);
            }
        }
        Ok(hosts)
    }

    /// Gives a backend that is not open yet a place.
    fn settle(&mut self, plan: Box<dyn Plan>, show: &LiveShow) -> usize {
        let instances = plan.instances();
        let named = instances.iter().filter_map(|id| show.instance(*id));
        let names: Vec<String> = named.map(|instance| format!("`{}`", instance.name)).collect();
        let place = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        instances.iter().for_each(|no| self.homes[no.0] = Some(place));
        let host = BackendSlot {
            plan,
            backend: None,
            instances,
            names: names.join(", "),
            touched: false,
            retry: None,
        };
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(host);
        place
    }

    /// Watches the descriptors of all backends.
    ///
    /// # Errors
    ///
    /// The system's limit on watches is reached.
    pub fn watch(&self, poller: &Poller) -> io::Result<()> {
        (0..self.places.len()).try_for_each(|place| self.watch_one(place, poller))
    }

    fn watch_one(&self, place: usize, poller: &Poller) -> io::Result<()> {
        let Some(Some(host)) = self.places.get(place) else { return Ok(()) };
        let index = u32::try_from(place).map_err(io::Error::other)?;
        let watches = host.backend.iter().flat_map(|backend| backend.watches());
        for watch in watches {
            poller.watch(watch.descriptor, Interest::Read, Wake::Backend { index, token: watch.token })?;
        }
        Ok(())
    }

    /// A descriptor of a backend is readable.
    pub fn receive(&mut self, index: u32, token: u32, sink: &mut EventSink) {
        self.guarded(index as usize, |backend| backend.receive(token, sink));
    }

    /// Hands an event to the backend where `instance` is at home. False: it is at home in none.
    #[inline]
    pub fn handle(
        &mut self,
        instance: InstanceId,
        channel: ChannelId,
        value: f64,
        sink: &mut EventSink,
    ) -> bool {
        let Some(place) = self.homes.get(instance.0).copied().flatten() else { return false };
        if let Some(Some(host)) = self.places.get_mut(place) {
            host.touched = true;
        }
        self.guarded(place, |backend| backend.handle(instance, channel, value, sink));
        true
    }

    /// The step is over: lets the backends that took events send them, and says whether there was one.
    pub fn flush(&mut self) -> bool {
        let mut any = false;
        for place in 0..self.places.len() {
            let touched = self.places[place].as_mut().is_some_and(|host| std::mem::take(&mut host.touched));
            if touched {
                self.guarded(place, |backend| backend.flush());
                any = true;
            }
        }
        any
    }

    fn backend(&self, instance: InstanceId) -> Option<&dyn Backend> {
        let place = self.homes.get(instance.0).copied().flatten()?;
        self.places.get(place)?.as_ref()?.backend.as_deref()
    }

    /// How an instance stands, for `status`; its name and its traffic are for others to fill in.
    #[must_use]
    pub fn standing(&self, instance: InstanceId) -> InstanceStatus {
        match self.backend(instance) {
            Some(backend) => InstanceStatus {
                state: InstanceState::Running,
                errors: backend.errors(),
                conflated: Some(backend.conflated()).filter(|count| *count > 0),
                note: backend.note(instance),
                ..InstanceStatus::default()
            },
            None => InstanceStatus { state: InstanceState::Backoff, ..InstanceStatus::default() },
        }
    }

    /// A channel had this value before the show was started again.
    pub fn restore(&mut self, instance: InstanceId, channel: ChannelId, value: f64) {
        if let Some(place) = self.homes.get(instance.0).copied().flatten() {
            self.guarded(place, |backend| backend.restore(instance, channel, value));
        }
    }

    /// When [`BackendSet::tick`] has to be called next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.places.iter().flatten().filter_map(BackendSlot::deadline).min()
    }

    /// Some time has passed.
    pub fn tick(&mut self, now: Instant, sink: &mut EventSink, poller: &Poller) {
        for place in 0..self.places.len() {
            let Some(host) = &mut self.places[place] else { continue };
            if host.deadline().is_none_or(|deadline| now < deadline) {
                continue;
            }
            if host.backend.is_some() {
                self.guarded(place, |backend| backend.tick(now, sink));
            } else {
                self.reopen(place, now, poller);
            }
        }
    }

    fn reopen(&mut self, place: usize, now: Instant, poller: &Poller) {
        let Some(host) = &mut self.places[place] else { return };
        let first = host.retry.is_none();
        match host.plan.open() {
            Ok(backend) => {
                host.backend = Some(backend);
                host.retry = None;
                tracing::info!("the backend of {} is open", host.names);
                if let Err(error) = self.watch_one(place, poller) {
                    self.close(place, &error.to_string(), now);
                }
            }
            Err(error) => {
                if first {
                    tracing::error!("{error}; it is tried again every {} s", RETRY.as_secs());
                }
                host.retry = Some(now + RETRY);
            }
        }
    }

    fn close(&mut self, place: usize, why: &str, now: Instant) {
        if let Some(Some(host)) = self.places.get_mut(place) {
            tracing::error!(
                "the backend of {} is closed: {why}; it is opened anew in {} s",
                host.names,
                RETRY.as_secs()
            );
            host.backend = None;
            host.retry = Some(now + RETRY);
        }
    }

    /// Applies a new show: backends whose instances are the same stay open, the others are closed or opened.
    pub fn apply(
        &mut self,
        plans: Vec<Box<dyn Plan>>,
        show: &LiveShow,
        change: &ShowChange,
        poller: &Poller,
    ) {
        self.homes = vec![None; show.id_limit()];
        for place in 0..self.places.len() {
            let Some(host) = &self.places[place] else { continue };
            if !host.instances.iter().all(|id| change.is_unchanged(*id)) {
                self.places[place] = None;
                continue;
            }
            host.instances.iter().for_each(|id| self.homes[id.0] = Some(place));
        }
        for plan in plans {
            if plan.instances().iter().all(|id| self.homes[id.0].is_none()) {
                let place = self.settle(plan, show);
                self.reopen(place, Instant::now(), poller);
            }
        }
    }

    /// Runs a backend's code. If it panics, the backend is closed.
    #[inline]
    fn guarded(&mut self, place: usize, act: impl FnOnce(&mut dyn Backend)) {
        let Some(Some(host)) = self.places.get_mut(place) else { return };
        let Some(backend) = &mut host.backend else { return };
        if catch_unwind(AssertUnwindSafe(|| act(backend.as_mut()))).is_err() {
            self.close(place, "a fault in this program", Instant::now());
        }
    }
}

impl BackendSlot {
    fn deadline(&self) -> Option<Instant> {
        match &self.backend {
            Some(backend) => backend.deadline(),
            None => self.retry,
        }
    }
}
