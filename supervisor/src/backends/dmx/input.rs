//! What comes in: frames become events of the channels whose level has changed.
//!
//! - Levels start at 0, so the first frame reports the channels that are not 0. It also reports one
//!   that is 0 and had another value in the last run, which the state file has kept: without that
//!   a lamp could stay on that was turned off while the supervisor was down.
//! - A channel of two slots has one event per frame, also where both have changed.
//! - A frame may carry fewer than 512 slots. The others keep their levels.

use super::{ChannelSlots, Levels, SLOTS, SlotMap};
use crate::backends::{EventSink, LocalInstance};
use mm_shared::ChannelId;

/// What becomes of the channels of a universe that is not received any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InputLoss {
    /// They keep their values.
    #[default]
    Hold,
    /// They are set to 0.
    Zero,
}

/// The receiving side of an instance.
#[derive(Debug, Clone)]
pub struct UniverseInput {
    levels: Box<Levels>,
    /// How many slots the frames had so far, of which all channels are up to date.
    carried: usize,
    /// By place in [`SlotMap::ordered`]: what was last reported of a channel.
    reported: Vec<ReportedLevel>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ReportedLevel {
    raw: u16,
    /// Whether it is from a frame, and not from the last run.
    is_received: bool,
}

impl UniverseInput {
    /// For the channels of `map`. Nothing has been received.
    #[must_use]
    pub fn new(map: &SlotMap) -> Self {
        let reported = vec![ReportedLevel::default(); map.ordered().len()];
        Self { levels: Box::new([0; SLOTS]), carried: 0, reported }
    }

    /// The channel had this value in the last run.
    pub fn restore(&mut self, map: &SlotMap, channel: ChannelId, value: f64) {
        for (&(slots, id), reported) in map.ordered().iter().zip(&mut self.reported) {
            if id == channel && !reported.is_received {
                reported.raw = slots.raw(value);
            }
        }
    }

    /// Takes a frame, of which only the first 512 slots count, and reports each channel that it
    /// changes. Returns whether it changes any.
    pub fn apply(
        &mut self,
        frame: &[u8],
        map: &SlotMap,
        instance: LocalInstance,
        sink: &mut EventSink<'_>,
    ) -> bool {
        let length = frame.len().min(SLOTS);
        let (Some(frame), Some(before)) = (frame.get(..length), self.levels.get_mut(..length)) else {
            return false;
        };
        if frame == before && length <= self.carried {
            return false;
        }
        before.copy_from_slice(frame);
        self.carried = self.carried.max(length);
        let is_carried = |slots: ChannelSlots| slots.each().any(|slot| usize::from(slot) < length);
        let mut has_changed = false;
        for (&(slots, channel), reported) in map.ordered().iter().zip(&mut self.reported) {
            if !is_carried(slots) {
                continue;
            }
            let raw = slots.read(&self.levels);
            let is_news = raw != reported.raw || (!reported.is_received && raw != 0);
            *reported = ReportedLevel { raw, is_received: true };
            if is_news {
                sink.push(instance, channel, slots.value(raw));
                has_changed = true;
            }
        }
        has_changed
    }

    /// The universe is not received any more.
    pub fn lose(
        &mut self,
        loss: InputLoss,
        map: &SlotMap,
        instance: LocalInstance,
        sink: &mut EventSink<'_>,
    ) {
        if loss == InputLoss::Hold {
            return;
        }
        self.levels.fill(0);
        for (&(slots, channel), reported) in map.ordered().iter().zip(&mut self.reported) {
            if reported.raw != 0 {
                reported.raw = 0;
                sink.push(instance, channel, slots.value(0));
            }
        }
    }

    /// Goes on with the channels of `map`, after `old`. Those that are new are reported with the next
    /// frame, as far as they are not 0.
    pub fn change_map(&mut self, old: &SlotMap, map: &SlotMap) {
        if old.ordered() == map.ordered() {
            return;
        }
        let reported_of = |slots: ChannelSlots| {
            let place = old.ordered().iter().position(|(other, _)| *other == slots)?;
            self.reported.get(place).copied()
        };
        let reported = map.ordered().iter().map(|(slots, _)| reported_of(*slots).unwrap_or_default());
        self.reported = reported.collect();
        // The next frame is looked at even if it equals the last one.
        self.carried = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::Incoming;
    use crate::ids::InstanceId;
    use crate::test_shows::show;
    use mm_config::Diagnostics;

    fn map(channels: &str) -> SlotMap {
        let text = format!("[loopback net]\n[loopback other]\n[map]\nother.x > net.{channels}\n");
        SlotMap::read(&show(&text).instances[0], &mut Diagnostics::default())
    }

    /// The channels and values that `act` reports.
    fn events(act: impl FnOnce(&mut EventSink<'_>)) -> Vec<(u32, f64)> {
        let mut events: Vec<Incoming> = Vec::new();
        act(&mut EventSink::new(&mut events, &[InstanceId(0)]));
        events.iter().map(|event| (event.channel.0, event.value)).collect()
    }

    fn apply(input: &mut UniverseInput, map: &SlotMap, frame: &[u8]) -> Vec<(u32, f64)> {
        events(|sink| {
            input.apply(frame, map, LocalInstance(0), sink);
        })
    }

    #[test]
    fn only_channels_that_have_changed_are_reported() {
        let map = map("{2,1,4+3,500}");
        let mut input = UniverseInput::new(&map);
        assert_eq!(apply(&mut input, &map, &[0; 512]), [], "levels start at 0");
        assert_eq!(apply(&mut input, &map, &[255, 0, 0xff, 0xff]), [(1, 1.0), (2, 1.0)]);
        assert_eq!(apply(&mut input, &map, &[255, 0, 0xff, 0xff]), []);
        // A short frame leaves the others alone, here the coarse half of a pair.
        assert_eq!(apply(&mut input, &map, &[255, 51, 0]), [(0, 0.2), (2, f64::from(0xff00) / 65535.0)]);
        assert_eq!(apply(&mut input, &map, &[]), []);
        assert_eq!(apply(&mut input, &map, &[0; 600]), [(1, 0.0), (0, 0.0), (2, 0.0)]);
    }

    #[test]
    fn two_names_of_a_slot_both_receive() {
        let map = map("{7,007}");
        let mut input = UniverseInput::new(&map);
        assert_eq!(apply(&mut input, &map, &[0, 0, 0, 0, 0, 0, 255]), [(0, 1.0), (1, 1.0)]);
    }

    #[test]
    fn the_first_frame_reports_also_what_was_turned_off_since_the_last_run() {
        let map = map("{1,2,3}");
        let mut input = UniverseInput::new(&map);
        input.restore(&map, ChannelId(0), 1.0);
        input.restore(&map, ChannelId(1), 1.0);
        assert_eq!(apply(&mut input, &map, &[0, 255, 0]), [(0, 0.0), (1, 1.0)]);
        assert_eq!(apply(&mut input, &map, &[0, 255, 0]), []);
    }

    #[test]
    fn a_lost_universe_holds_its_values_or_goes_to_zero() {
        let map = map("{1,2}");
        let mut input = UniverseInput::new(&map);
        apply(&mut input, &map, &[255, 0]);
        let lose =
            |input: &mut UniverseInput, loss| events(|sink| input.lose(loss, &map, LocalInstance(0), sink));
        assert_eq!(lose(&mut input, InputLoss::Hold), []);
        assert_eq!(lose(&mut input, InputLoss::Zero), [(0, 0.0)]);
        assert_eq!(lose(&mut input, InputLoss::Zero), []);
        assert_eq!(apply(&mut input, &map, &[255, 0]), [(0, 1.0)], "it is back");
    }

    #[test]
    fn a_new_channel_gets_the_level_that_its_slot_has() {
        let (old, new) = (map("{1,2}"), map("{3,2,9}"));
        let mut input = UniverseInput::new(&old);
        let frame = [255, 255, 255, 0, 0, 0, 0, 0, 0];
        assert_eq!(apply(&mut input, &old, &frame), [(0, 1.0), (1, 1.0)]);
        input.change_map(&old, &new);
        assert_eq!(apply(&mut input, &new, &frame), [(0, 1.0)]);
        assert_eq!(apply(&mut input, &new, &frame), []);
    }
}
