//! Parameter numbers: controllers 98 to 101 select one of 16,383 parameters, 6 and 38 set it. Each
//! MIDI channel has a selection of its own.

use super::channel::{ChannelKind, NULL_PARAMETER};

const VALUE_HIGH: u8 = 6;
const VALUE_LOW: u8 = 38;

/// The controllers that select a parameter: the upper and the lower half of its number.
fn selectors(kind: ChannelKind) -> [u8; 2] {
    if kind == ChannelKind::Nrpn { [99, 98] } else { [101, 100] }
}

/// Decodes controllers to parameters; keeps the selection of each MIDI channel.
#[derive(Debug, Default)]
pub struct ParameterDecoder {
    channels: [Selection; 16],
}

#[derive(Debug, Default, Clone, Copy)]
struct Selection {
    registered: bool,
    high: Option<u8>,
    low: Option<u8>,
    /// The upper half of the value, in force until the next one or the next selection.
    value: Option<u8>,
}

/// A parameter and its new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterValue {
    pub kind: ChannelKind,
    pub number: u16,
    pub raw: u16,
}

impl ParameterDecoder {
    /// Decodes one controller message. The lower half of a value completes a parameter.
    pub fn control(&mut self, channel: u8, controller: u8, value: u8) -> Option<ParameterValue> {
        let selection = self.channels.get_mut(usize::from(channel))?;
        match controller {
            98..=101 => {
                selection.select(controller, value);
                None
            }
            VALUE_HIGH => {
                selection.value = selection.number().map(|_| value);
                None
            }
            VALUE_LOW => {
                let kind = if selection.registered { ChannelKind::Rpn } else { ChannelKind::Nrpn };
                let raw = joined(selection.value?, value);
                Some(ParameterValue { kind, number: selection.number()?, raw })
            }
            _ => None,
        }
    }
}

impl Selection {
    fn select(&mut self, controller: u8, value: u8) {
        let registered = controller >= 100;
        if registered != self.registered {
            *self = Self { registered, ..Self::default() };
        }
        self.value = None;
        // Odd controllers select the upper half.
        let half = if controller % 2 == 1 { &mut self.high } else { &mut self.low };
        *half = Some(value);
    }

    fn number(&self) -> Option<u16> {
        Some(joined(self.high?, self.low?)).filter(|number| *number != NULL_PARAMETER)
    }
}

fn joined(high: u8, low: u8) -> u16 {
    u16::from(high & 0x7f) << 7 | u16::from(low & 0x7f)
}

/// The controllers that set a parameter, in order; with `deselect` those that deselect it follow.
pub fn sequence(value: ParameterValue, deselect: bool) -> impl Iterator<Item = (u8, u8)> {
    let halves = |value: u16| [(value >> 7 & 0x7f) as u8, (value & 0x7f) as u8];
    let ([select_high, select_low], [number_high, number_low]) =
        (selectors(value.kind), halves(value.number));
    let [high, low] = halves(value.raw);
    let all = [
        (select_high, number_high),
        (select_low, number_low),
        (VALUE_HIGH, high),
        (VALUE_LOW, low),
        (101, 127),
        (100, 127),
    ];
    all.into_iter().take(if deselect { 6 } else { 4 })
}

#[cfg(test)]
mod tests;
