//! Converts messages to addressed values and back. Pure: knows neither ports nor the show.

use super::channel::{ChannelAddress, ChannelKind};
use super::parameters::{ParameterDecoder, ParameterValue, sequence};
use super::parser::{MessageStatus, MidiMessage};

/// A raw value of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressedValue {
    pub address: ChannelAddress,
    pub raw: u16,
}

/// Decodes a message. A controller may also complete a parameter, which then comes second.
pub fn decode(
    message: MidiMessage,
    parameters: &mut ParameterDecoder,
) -> impl Iterator<Item = AddressedValue> {
    let (channel, [first, second]) = (message.channel(), message.data());
    let value = |kind, number: u16, raw: u16| AddressedValue {
        address: ChannelAddress { channel, kind, number },
        raw,
    };
    let (number, raw) = (u16::from(first), u16::from(second));
    let own = match message.status() {
        MessageStatus::NoteOff => value(ChannelKind::Note, number, 0),
        MessageStatus::NoteOn => value(ChannelKind::Note, number, raw),
        MessageStatus::KeyPressure => value(ChannelKind::Pressure, number, raw),
        MessageStatus::Control => value(ChannelKind::Cc, number, raw),
        MessageStatus::Program => value(ChannelKind::Program, 0, number),
        MessageStatus::ChannelPressure => value(ChannelKind::Aftertouch, 0, number),
        MessageStatus::PitchBend => value(ChannelKind::Pitch, 0, raw << 7 | number),
    };
    let parameter = match message.status() {
        MessageStatus::Control => parameters.control(channel, first, second),
        _ => None,
    };
    let parameter = parameter.map(|ParameterValue { kind, number, raw }| value(kind, number, raw));
    [Some(own), parameter].into_iter().flatten()
}

/// Whether an address is one of the controllers that parameters consist of.
pub fn is_parameter_controller(address: ChannelAddress) -> bool {
    address.kind == ChannelKind::Cc && matches!(address.number, 6 | 38 | 98..=101)
}

/// Encodes a value: one message, or the several of a parameter.
pub fn encode(value: AddressedValue, deselect: bool) -> MessageSequence {
    let AddressedValue { address: ChannelAddress { channel, kind, number }, raw } = value;
    let (low, high) = ((raw & 0x7f) as u8, (raw >> 7 & 0x7f) as u8);
    let number_byte = (number & 0x7f) as u8;
    let one = |status, first, second| MessageSequence::one(MidiMessage::new(status, channel, first, second));
    match kind {
        ChannelKind::Cc => one(MessageStatus::Control, number_byte, low),
        ChannelKind::Note => one(MessageStatus::NoteOn, number_byte, low),
        ChannelKind::Pressure => one(MessageStatus::KeyPressure, number_byte, low),
        ChannelKind::Aftertouch => one(MessageStatus::ChannelPressure, low, 0),
        ChannelKind::Program => one(MessageStatus::Program, low, 0),
        ChannelKind::Pitch => one(MessageStatus::PitchBend, low, high),
        ChannelKind::Rpn | ChannelKind::Nrpn => {
            let controls = sequence(ParameterValue { kind, number, raw }, deselect);
            controls.fold(MessageSequence::default(), |messages, (controller, value)| {
                messages.with(MidiMessage::new(MessageStatus::Control, channel, controller, value))
            })
        }
    }
}

/// The messages of one value, in the order of sending.
#[derive(Debug, Default, Clone, Copy)]
pub struct MessageSequence {
    messages: [Option<MidiMessage>; 6],
}

impl MessageSequence {
    fn one(message: MidiMessage) -> Self {
        Self::default().with(message)
    }

    fn with(mut self, message: MidiMessage) -> Self {
        if let Some(place) = self.messages.iter_mut().find(|place| place.is_none()) {
            *place = Some(message);
        }
        self
    }

    /// The messages in the order of sending.
    pub fn messages(&self) -> impl Iterator<Item = MidiMessage> + '_ {
        self.messages.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests;
