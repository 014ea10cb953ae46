//! Messages to addresses and raw values, and back. Pure: knows no ports and no show.

use super::bytes::{Message, Status};
use super::channel::{Address, Kind};
use super::parameters::{Parameters, Set, sequence};

/// Something that has got a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub address: Address,
    pub raw: u16,
}

/// What a message means; a controller may be part of a parameter too, which then comes second.
pub fn read(message: Message, parameters: &mut Parameters) -> impl Iterator<Item = Reading> {
    let (channel, [first, second]) = (message.channel(), message.data());
    let reading = |kind, number: u16, raw: u16| Reading { address: Address { channel, kind, number }, raw };
    let (number, raw) = (u16::from(first), u16::from(second));
    let own = match message.status() {
        Status::NoteOff => reading(Kind::Note, number, 0),
        Status::NoteOn => reading(Kind::Note, number, raw),
        Status::KeyPressure => reading(Kind::Pressure, number, raw),
        Status::Control => reading(Kind::Cc, number, raw),
        Status::Program => reading(Kind::Program, 0, number),
        Status::ChannelPressure => reading(Kind::Aftertouch, 0, number),
        Status::PitchBend => reading(Kind::Pitch, 0, raw << 7 | number),
    };
    let set = match message.status() {
        Status::Control => parameters.control(channel, first, second),
        _ => None,
    };
    [Some(own), set.map(|Set { kind, number, raw }| reading(kind, number, raw))].into_iter().flatten()
}

/// Whether an address is one of the controllers that parameters are made of.
pub fn serves_parameters(address: Address) -> bool {
    address.kind == Kind::Cc && matches!(address.number, 6 | 38 | 98..=101)
}

/// The messages that send a value, in order: one, or the several of a parameter.
pub fn write(reading: Reading, deselect: bool) -> Outgoing {
    let Reading { address: Address { channel, kind, number }, raw } = reading;
    let (low, high) = ((raw & 0x7f) as u8, (raw >> 7 & 0x7f) as u8);
    let number_byte = (number & 0x7f) as u8;
    let one = |status, first, second| Outgoing::one(Message::new(status, channel, first, second));
    match kind {
        Kind::Cc => one(Status::Control, number_byte, low),
        Kind::Note => one(Status::NoteOn, number_byte, low),
        Kind::Pressure => one(Status::KeyPressure, number_byte, low),
        Kind::Aftertouch => one(Status::ChannelPressure, low, 0),
        Kind::Program => one(Status::Program, low, 0),
        Kind::Pitch => one(Status::PitchBend, low, high),
        Kind::Rpn | Kind::Nrpn => {
            let controls = sequence(Set { kind, number, raw }, deselect);
            controls.fold(Outgoing::default(), |outgoing, (controller, value)| {
                outgoing.with(Message::new(Status::Control, channel, controller, value))
            })
        }
    }
}

/// A few messages that belong together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outgoing {
    messages: [Option<Message>; 6],
}

impl Outgoing {
    fn one(message: Message) -> Self {
        Self::default().with(message)
    }

    fn with(mut self, message: Message) -> Self {
        if let Some(place) = self.messages.iter_mut().find(|place| place.is_none()) {
            *place = Some(message);
        }
        self
    }

    /// In the order of sending.
    pub fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        self.messages.iter().flatten().copied()
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
