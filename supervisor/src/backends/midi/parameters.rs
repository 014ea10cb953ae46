//! Parameter numbers: controllers 98 to 101 select one of 16,383 parameters, 6 and 38 set it, for each MIDI channel.

use super::channel::{Kind, NULL_PARAMETER};

const VALUE_HIGH: u8 = 6;
const VALUE_LOW: u8 = 38;

/// The controllers that select a parameter, high and low.
fn selectors(kind: Kind) -> [u8; 2] {
    if kind == Kind::Nrpn { [99, 98] } else { [101, 100] }
}

/// What is selected on each MIDI channel.
#[derive(Debug, Default)]
pub struct Parameters {
    channels: [Selection; 16],
}

#[derive(Debug, Default, Clone, Copy)]
struct Selection {
    registered: bool,
    high: Option<u8>,
    low: Option<u8>,
    /// The upper half of the value; it counts until another comes or something else is selected.
    value: Option<u8>,
}

/// A parameter that has got a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    pub kind: Kind,
    pub number: u16,
    pub raw: u16,
}

impl Parameters {
    /// Takes a controller's value. The lower half of a value completes it.
    pub fn control(&mut self, channel: u8, controller: u8, value: u8) -> Option<Set> {
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
                let kind = if selection.registered { Kind::Rpn } else { Kind::Nrpn };
                let raw = joined(selection.value?, value);
                Some(Set { kind, number: selection.number()?, raw })
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
        // the odd ones are the upper halves
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

/// The controllers that set a parameter, in order, and with `deselect` those that select none afterwards.
pub fn sequence(set: Set, deselect: bool) -> impl Iterator<Item = (u8, u8)> {
    let halves = |value: u16| [(value >> 7 & 0x7f) as u8, (value & 0x7f) as u8];
    let ([select_high, select_low], [number_high, number_low]) = (selectors(set.kind), halves(set.number));
    let [high, low] = halves(set.raw);
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
#[path = "parameters_tests.rs"]
mod tests;
