//! Parses a stream of MIDI bytes into messages: running status, real-time bytes anywhere, system
//! messages skipped.
//!
//! Only channel messages come out. No input makes the parser fail; bytes without a meaning are
//! counted.

/// A channel message: a status byte and one or two data bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MidiMessage {
    status: u8,
    data: [u8; 2],
}

/// The upper half of a status byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageStatus {
    NoteOff,
    NoteOn,
    KeyPressure,
    Control,
    Program,
    ChannelPressure,
    PitchBend,
}

impl MessageStatus {
    const ALL: [Self; 7] = [
        Self::NoteOff,
        Self::NoteOn,
        Self::KeyPressure,
        Self::Control,
        Self::Program,
        Self::ChannelPressure,
        Self::PitchBend,
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from((byte >> 4).checked_sub(8)?)).copied()
    }

    fn data_bytes(self) -> usize {
        if matches!(self, Self::Program | Self::ChannelPressure) { 1 } else { 2 }
    }
}

impl MidiMessage {
    /// A message; bits beyond the ranges of MIDI are cut off.
    pub fn new(status: MessageStatus, channel: u8, first: u8, second: u8) -> Self {
        let data = [first & 0x7f, if status.data_bytes() == 2 { second & 0x7f } else { 0 }];
        Self { status: (8 + status as u8) << 4 | channel & 0x0f, data }
    }

    pub fn status(self) -> MessageStatus {
        MessageStatus::of(self.status).unwrap_or(MessageStatus::NoteOff)
    }

    /// The MIDI channel, 0 to 15.
    pub fn channel(self) -> u8 {
        self.status & 0x0f
    }

    /// The data bytes; the second is 0 where the message has only one.
    pub fn data(self) -> [u8; 2] {
        self.data
    }

    /// The bytes on the wire, and how many of them count.
    pub fn bytes(self) -> ([u8; 3], usize) {
        ([self.status, self.data[0], self.data[1]], 1 + self.status().data_bytes())
    }
}

/// Counts of what a stream held besides channel messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SkippedInput {
    /// System-exclusive messages that began.
    pub exclusive: u64,
    /// Data bytes outside any message.
    pub stray: u64,
}

/// Parses one stream.
#[derive(Debug, Default)]
pub struct MidiParser {
    state: ParserState,
    skipped: SkippedInput,
}

#[derive(Debug, Clone, Copy, Default)]
enum ParserState {
    /// No status is in force: data bytes have no meaning.
    #[default]
    Idle,
    /// Within a system-exclusive message.
    Exclusive,
    /// Within another system message, which has `left` data bytes to come.
    Common { left: u8 },
    /// The latest status also applies to messages that bring none.
    Running { status: u8, first: Option<u8> },
}

impl MidiParser {
    /// Parses the next bytes of the stream; calls `each` for every complete message.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(MidiMessage)) {
        for byte in bytes {
            match *byte {
                // Real-time bytes (clock, active sensing) may stand between any two others and
                // change nothing.
                0xf8.. => {}
                byte @ 0x80.. => self.status(byte),
                byte => self.data(byte, &mut each),
            }
        }
    }

    /// Any status byte ends an unfinished message, including a system-exclusive one.
    fn status(&mut self, byte: u8) {
        self.state = match byte {
            0xf0 => {
                self.skipped.exclusive += 1;
                ParserState::Exclusive
            }
            0xf1 | 0xf3 => ParserState::Common { left: 1 },
            0xf2 => ParserState::Common { left: 2 },
            0xf4.. => ParserState::Idle,
            status => ParserState::Running { status, first: None },
        };
    }

    fn data(&mut self, byte: u8, each: &mut impl FnMut(MidiMessage)) {
        match self.state {
            ParserState::Idle => self.skipped.stray += 1,
            ParserState::Exclusive => {}
            ParserState::Common { left: 0 | 1 } => self.state = ParserState::Idle,
            ParserState::Common { left } => self.state = ParserState::Common { left: left - 1 },
            ParserState::Running { status, first } => {
                let has_two = MessageStatus::of(status).is_some_and(|status| status.data_bytes() == 2);
                let (data, first) = match first {
                    None if has_two => (None, Some(byte)),
                    None => (Some([byte, 0]), None),
                    Some(first) => (Some([first, byte]), None),
                };
                self.state = ParserState::Running { status, first };
                if let Some(data) = data {
                    each(MidiMessage { status, data });
                }
            }
        }
    }

    /// Takes out the counts since the last call.
    pub fn take_skipped(&mut self) -> SkippedInput {
        std::mem::take(&mut self.skipped)
    }
}

#[cfg(test)]
mod tests;
