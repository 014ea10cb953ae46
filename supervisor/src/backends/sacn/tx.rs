//! The sending side: values to levels, levels to packets, and the end of streams.
//!
//! A *stream* is what goes out of one universe to one place. Its packets are numbered without a hole,
//! also where two instances share it, or where it ends and begins again.

use super::codec::{SacnFrame, SacnFrameOptions};
use super::group::group;
use super::options::PORT;
use super::plan::{SacnInstance, SacnPlan};
use crate::backends::LocalInstance;
use crate::backends::dmx::destination::DmxDestination;
use crate::backends::dmx::net::{BindIndex, DmxSockets};
use crate::backends::dmx::output::FRAME_INTERVAL;
use crate::backends::dmx::{ChannelSlots, Levels, UniverseOutput};
use crate::resolver::ResolvedHost;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;
use std::time::Instant;

/// How many packets end a stream (E1.31-2018 6.2.6).
const TERMINATIONS: u8 = 3;

/// The packets of one universe to one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stream {
    bind: BindIndex,
    universe: u16,
    to: SocketAddrV4,
}

/// All outputs.
#[derive(Debug)]
pub struct SacnTx {
    /// By local instance.
    outputs: Vec<SacnOutput>,
    /// Instances whose levels were set since the last flush.
    touched: Vec<usize>,
    /// Instances for which more levels are expected.
    incomplete: Vec<usize>,
    ending: Vec<EndingStream>,
    sequences: HashMap<Stream, u8>,
}

/// The levels of one instance, and how they are sent.
#[derive(Debug)]
struct SacnOutput {
    /// Whether it has a priority. Without one its levels are kept for a reload that adds it.
    sends: bool,
    bind: BindIndex,
    universe: u16,
    frame: SacnFrame,
    levels: UniverseOutput,
    /// `None`: the multicast group.
    destination: Option<DmxDestination>,
    deadline: Option<Instant>,
    /// Whether more levels are expected.
    is_incomplete: bool,
}

/// A stream whose last packets are on their way.
#[derive(Debug)]
struct EndingStream {
    stream: Stream,
    frame: SacnFrame,
    levels: Box<Levels>,
    left: u8,
    next: Instant,
}

impl SacnOutput {
    fn new(plan: &SacnPlan, instance: &SacnInstance, now: Instant) -> Self {
        let options = &instance.options;
        let priority = options.priority.unwrap_or(0);
        Self {
            sends: options.priority.is_some(),
            bind: options.interface,
            universe: options.universe,
            frame: SacnFrame::new(plan.cid.cid, &plan.name, options.universe, priority),
            levels: UniverseOutput::new(options.effective_output(), options.universe),
            destination: new_destination(instance, now),
            deadline: None,
            is_incomplete: false,
        }
    }

    /// Where its packets go; `None`: nowhere, or the host is being looked up.
    fn stream(&self) -> Option<Stream> {
        if !self.sends {
            return None;
        }
        let to = match &self.destination {
            Some(destination) => destination.address()?,
            None => SocketAddrV4::new(group(self.universe), PORT),
        };
        Some(Stream { bind: self.bind, universe: self.universe, to })
    }

    /// Whether it sends and has a value.
    fn is_started(&self) -> bool {
        self.sends && self.levels.is_started()
    }

    /// Has the levels sent as if one had changed.
    fn refresh(&mut self, now: Instant) {
        self.levels.refresh(now);
        self.set_deadline();
    }

    fn set_deadline(&mut self) {
        self.deadline = self.levels.deadline().filter(|_| self.sends);
    }

    fn send_due(&mut self, now: Instant, sequences: &mut HashMap<Stream, u8>, sockets: &mut DmxSockets) {
        if !self.sends {
            return;
        }
        let stream = self.stream();
        if let Some(levels) = self.levels.take(now)
            && let Some(stream) = stream
        {
            send(&mut self.frame, levels, stream, false, (now, sequences, sockets));
        }
        self.set_deadline();
    }

    /// Ends its stream, if it has begun: sends levels that have not been sent, and returns what is
    /// to be sent after them.
    fn end(
        &mut self,
        now: Instant,
        sequences: &mut HashMap<Stream, u8>,
        sockets: &mut DmxSockets,
    ) -> Option<EndingStream> {
        let stream = self.stream().filter(|_| self.levels.is_started())?;
        if let Some(levels) = self.levels.take_last(now) {
            send(&mut self.frame, levels, stream, false, (now, sequences, sockets));
        }
        let levels = Box::new(*self.levels.levels());
        Some(EndingStream { stream, frame: self.frame.clone(), levels, left: TERMINATIONS, next: now })
    }
}

impl EndingStream {
    /// Sends what is due, or all of it.
    fn send_due(
        &mut self,
        now: Instant,
        all: bool,
        sequences: &mut HashMap<Stream, u8>,
        sockets: &mut DmxSockets,
    ) {
        while self.left > 0 && (all || self.next <= now) {
            let Self { frame, levels, stream, .. } = self;
            send(frame, levels.as_slice(), *stream, true, (now, sequences, sockets));
            self.left -= 1;
            self.next = now + FRAME_INTERVAL;
        }
    }
}

/// `None`: the multicast group, or it does not send.
fn new_destination(instance: &SacnInstance, now: Instant) -> Option<DmxDestination> {
    let to = instance.options.effective_destination()?;
    Some(DmxDestination::new(&instance.name, to.clone(), now))
}

/// Sends one packet with the next number of its stream.
fn send(
    frame: &mut SacnFrame,
    levels: &[u8],
    stream: Stream,
    is_terminated: bool,
    (now, sequences, sockets): (Instant, &mut HashMap<Stream, u8>, &mut DmxSockets),
) {
    let next = sequences.entry(stream).or_insert(0);
    let options = SacnFrameOptions { sequence: *next, is_terminated };
    *next = next.wrapping_add(1);
    sockets.send(stream.bind, stream.to, frame.with_levels(levels, options), now);
}

/// What an output has sent, for `status`.
#[derive(Debug, Default)]
pub struct SacnOutputStatus {
    /// Where it sends to.
    pub destination: Option<SocketAddrV4>,
    /// Why it does not send.
    pub fault: Option<String>,
    pub frames: u64,
    pub last_frame: Option<Instant>,
    pub conflated: u64,
}

impl SacnTx {
    pub fn new(plan: &SacnPlan, now: Instant) -> Self {
        Self {
            outputs: plan.instances.iter().map(|instance| SacnOutput::new(plan, instance, now)).collect(),
            touched: Vec::new(),
            incomplete: Vec::new(),
            ending: Vec::new(),
            sequences: HashMap::new(),
        }
    }

    /// A channel has a new value.
    pub fn set(&mut self, instance: LocalInstance, slots: ChannelSlots, value: f64, now: Instant) {
        let Some(output) = self.outputs.get_mut(instance.0) else { return };
        output.levels.set(slots, value, now);
        if self.touched.last() != Some(&instance.0) {
            self.touched.push(instance.0);
        }
    }

    /// A channel had this value in the last run.
    pub fn restore(&mut self, instance: LocalInstance, slots: ChannelSlots, value: f64) {
        if let Some(output) = self.outputs.get_mut(instance.0) {
            output.levels.restore(slots, value);
        }
    }

    /// Sends what was set and is due. `is_part`: more is likely to follow at once.
    pub fn flush(&mut self, is_part: bool, now: Instant, sockets: &mut DmxSockets) {
        let Self { outputs, touched, incomplete, sequences, .. } = self;
        if !is_part {
            touched.append(incomplete);
        }
        if touched.is_empty() {
            return;
        }
        for index in touched.drain(..) {
            let Some(output) = outputs.get_mut(index) else { continue };
            if is_part {
                output.levels.expect_more(now);
                if !std::mem::replace(&mut output.is_incomplete, true) {
                    incomplete.push(index);
                }
            } else {
                output.levels.expect_no_more();
                output.is_incomplete = false;
            }
            output.send_due(now, sequences, sockets);
        }
        sockets.flush(now);
    }

    /// Sends all that is due.
    pub fn tick(&mut self, now: Instant, sockets: &mut DmxSockets) {
        let Self { outputs, sequences, ending, .. } = self;
        for output in outputs {
            if output.deadline.is_some_and(|deadline| deadline <= now) {
                output.send_due(now, sequences, sockets);
            }
        }
        ending.iter_mut().for_each(|ending| ending.send_due(now, false, sequences, sockets));
        ending.retain(|ending| ending.left > 0);
        sockets.flush(now);
    }

    /// When [`SacnTx::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let ending = self.ending.iter().map(|ending| ending.next);
        self.outputs.iter().filter_map(|output| output.deadline).chain(ending).min()
    }

    /// Ends all streams.
    pub fn close(&mut self, now: Instant, sockets: &mut DmxSockets) {
        let mut outputs = std::mem::take(&mut self.outputs);
        for output in &mut outputs {
            self.ending.extend(output.end(now, &mut self.sequences, sockets));
        }
        self.tick(now, sockets);
    }

    /// Whether packets that end a stream are still to be sent.
    pub fn is_ending(&self) -> bool {
        !self.ending.is_empty()
    }

    /// The first half of a reload, while the sockets still have the old binds: ends the streams that
    /// are not there any more, and takes over the outputs that are. `before` gives the index that an
    /// instance had in the old plan.
    pub fn reconfigure(
        &mut self,
        old: &SacnPlan,
        new: &SacnPlan,
        before: impl Fn(LocalInstance) -> Option<LocalInstance>,
        now: Instant,
        sockets: &mut DmxSockets,
    ) {
        let mut outputs: Vec<_> = std::mem::take(&mut self.outputs).into_iter().map(Some).collect();
        let renumbered = |bind: BindIndex| {
            let spec = old.binds.get(bind.0)?;
            new.binds.iter().position(|other| other == spec).map(BindIndex)
        };
        for (index, instance) in new.instances.iter().enumerate() {
            let old_index = before(LocalInstance(index)).map(|before| before.0);
            let kept = old_index.and_then(|index| Some((old.instances.get(index)?, outputs.get_mut(index)?)));
            let kept = kept.and_then(|(old_instance, output)| Some((old_instance, output.take()?)));
            let output = match kept {
                None => SacnOutput::new(new, instance, now),
                Some((old_instance, output)) => {
                    self.take_over(output, (old, old_instance), (new, instance), now, sockets)
                }
            };
            self.outputs.push(output);
        }
        for output in outputs.iter_mut().flatten() {
            self.ending.extend(output.end(now, &mut self.sequences, sockets));
        }
        self.touched.clear();
        self.incomplete.clear();
        self.outputs.iter_mut().for_each(|output| output.is_incomplete = false);
        self.renumber(renumbered, now, sockets);
    }

    /// Goes on with an output under other options. Levels stay in any case, also where nothing is
    /// sent; where the place differs, the old stream ends and a new one begins.
    fn take_over(
        &mut self,
        mut output: SacnOutput,
        (old_plan, old): (&SacnPlan, &SacnInstance),
        (plan, instance): (&SacnPlan, &SacnInstance),
        now: Instant,
        sockets: &mut DmxSockets,
    ) -> SacnOutput {
        let options = &instance.options;
        let is_same_sender = old_plan.cid.cid == plan.cid.cid;
        let is_same_place = old.bind(old_plan) == instance.bind(plan)
            && old.options.universe == options.universe
            && old.options.effective_destination() == options.effective_destination();
        let is_same = is_same_sender && is_same_place && output.sends == options.priority.is_some();
        if !is_same {
            let ending = output.end(now, &mut self.sequences, sockets);
            self.ending.extend(ending);
        }
        output.frame = SacnOutput::new(plan, instance, now).frame;
        output.sends = options.priority.is_some();
        output.bind = options.interface;
        output.universe = options.universe;
        if old.options.effective_destination() != options.effective_destination() {
            output.destination = new_destination(instance, now);
        }
        output.levels.apply_options(options.effective_output(), now);
        output.levels.clear_unmapped(|slot| instance.slots.has_slot(slot), now);
        if !is_same || old.options.priority != options.priority || old_plan.name != plan.name {
            output.levels.refresh(now);
        }
        output.set_deadline();
        output
    }

    /// Sends the rest of streams at once whose bind is gone or that begin again, and gives the
    /// others the numbers of the new binds.
    fn renumber(
        &mut self,
        renumbered: impl Fn(BindIndex) -> Option<BindIndex>,
        now: Instant,
        sockets: &mut DmxSockets,
    ) {
        let Self { ending, sequences, outputs, .. } = self;
        let streams: Vec<_> = outputs.iter().filter_map(SacnOutput::stream).collect();
        for ending in ending.iter_mut() {
            let bind = renumbered(ending.stream.bind);
            let again = bind.map(|bind| Stream { bind, ..ending.stream });
            let goes_on = again.is_some_and(|stream| !streams.contains(&stream));
            ending.send_due(now, !goes_on, sequences, sockets);
            ending.stream.bind = bind.unwrap_or(ending.stream.bind);
        }
        ending.retain(|ending| ending.left > 0);
        let kept = std::mem::take(sequences).into_iter().filter_map(|(stream, sequence)| {
            Some((Stream { bind: renumbered(stream.bind)?, ..stream }, sequence))
        });
        *sequences = kept
            .filter(|(stream, _)| {
                streams.contains(stream) || ending.iter().any(|ending| ending.stream == *stream)
            })
            .collect();
        sockets.flush(now);
    }

    /// Asks for the hosts whose time has come.
    pub fn look_up(&mut self, now: Instant, mut ask: impl FnMut(&str)) {
        let outputs = self.outputs.iter_mut();
        for host in outputs.filter_map(|output| output.destination.as_mut()?.due(now)) {
            ask(host);
        }
    }

    /// When [`SacnTx::look_up`] has something to do.
    pub fn look_up_deadline(&self) -> Option<Instant> {
        let destinations = self.outputs.iter().filter_map(|output| output.destination.as_ref());
        destinations.filter_map(DmxDestination::deadline).min()
    }

    /// A host was looked up.
    pub fn on_resolved(&mut self, answer: &ResolvedHost, now: Instant) {
        for output in &mut self.outputs {
            if output.destination.as_mut().is_some_and(|to| to.on_resolved(answer, now)) {
                output.refresh(now);
            }
        }
    }

    /// A bind has another interface or address now: there may be new receivers.
    pub fn refresh(&mut self, now: Instant) {
        self.outputs.iter_mut().for_each(|output| output.refresh(now));
    }

    /// The universes that are sent, sorted, by bind.
    pub fn universes(&self) -> BTreeMap<BindIndex, Vec<u16>> {
        let mut universes: BTreeMap<BindIndex, Vec<u16>> = BTreeMap::new();
        for output in self.outputs.iter().filter(|output| output.is_started()) {
            universes.entry(output.bind).or_default().push(output.universe);
        }
        for list in universes.values_mut() {
            list.sort_unstable();
            list.dedup();
        }
        universes
    }

    /// Whether any universe is sent.
    pub fn is_started(&self) -> bool {
        self.outputs.iter().any(SacnOutput::is_started)
    }

    /// What an instance has sent; `None`: it does not send.
    pub fn status(&self, instance: LocalInstance) -> Option<SacnOutputStatus> {
        let output = self.outputs.get(instance.0).filter(|output| output.sends)?;
        Some(SacnOutputStatus {
            destination: output.stream().map(|stream| stream.to),
            fault: output.destination.as_ref().and_then(DmxDestination::fault),
            frames: output.levels.frames(),
            last_frame: output.levels.last_frame(),
            conflated: output.levels.conflated(),
        })
    }
}
