//! A stream of MIDI bytes to messages: running status, real-time bytes anywhere, system messages skipped.
//!
//! Only messages of a MIDI channel come out. Nothing that a peer sends makes it fail; what has no meaning is counted.

/// A message of a MIDI channel: a status byte and one or two data bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    status: u8,
    data: [u8; 2],
}

/// What the upper half of a status byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    NoteOff,
    NoteOn,
    KeyPressure,
    Control,
    Program,
    ChannelPressure,
    PitchBend,
}

impl Status {
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

impl Message {
    /// A message; of each part only the bits that MIDI has are used.
    pub fn new(status: Status, channel: u8, first: u8, second: u8) -> Self {
        let data = [first & 0x7f, if status.data_bytes() == 2 { second & 0x7f } else { 0 }];
        Self { status: (8 + status as u8) << 4 | channel & 0x0f, data }
    }

    pub fn status(self) -> Status {
        Status::of(self.status).unwrap_or(Status::NoteOff)
    }

    /// The MIDI channel, 0 to 15.
    pub fn channel(self) -> u8 {
        self.status & 0x0f
    }

    /// The data bytes; the second is 0 where there is only one.
    pub fn data(self) -> [u8; 2] {
        self.data
    }

    /// As it goes over the wire.
    pub fn bytes(self) -> ([u8; 3], usize) {
        ([self.status, self.data[0], self.data[1]], 1 + self.status().data_bytes())
    }
}

/// What a stream held besides messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// System-exclusive messages that began.
    pub exclusive: u64,
    /// Data bytes that belong to no message.
    pub stray: u64,
}

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    skipped: Skipped,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// No status counts: data bytes mean nothing.
    #[default]
    Idle,
    /// Within a system-exclusive message.
    Exclusive,
    /// Data bytes of another system message are still to come.
    Common { left: u8 },
    /// The status of the latest message counts for those that bring none.
    Running { status: u8, first: Option<u8> },
}

impl Parser {
    /// Reads on; calls `each` with every message that is whole.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Message)) {
        for byte in bytes {
            match *byte {
                // real-time bytes (clock, active sensing and the like) stand between any two others and change nothing
                0xf8.. => {}
                byte @ 0x80.. => self.status(byte),
                byte => self.data(byte, &mut each),
            }
        }
    }

    /// Any status ends what was not finished, a system-exclusive message too.
    fn status(&mut self, byte: u8) {
        self.state = match byte {
            0xf0 => {
                self.skipped.exclusive += 1;
                State::Exclusive
            }
            0xf1 | 0xf3 => State::Common { left: 1 },
            0xf2 => State::Common { left: 2 },
            0xf4.. => State::Idle,
            status => State::Running { status, first: None },
        };
    }

    fn data(&mut self, byte: u8, each: &mut impl FnMut(Message)) {
        match self.state {
            State::Idle => self.skipped.stray += 1,
            State::Exclusive => {}
            State::Common { left: 0 | 1 } => self.state = State::Idle,
            State::Common { left } => self.state = State::Common { left: left - 1 },
            State::Running { status, first } => {
                let two = Status::of(status).is_some_and(|status| status.data_bytes() == 2);
                let (data, first) = match first {
                    None if two => (None, Some(byte)),
                    None => (Some([byte, 0]), None),
                    Some(first) => (Some([first, byte]), None),
                };
                self.state = State::Running { status, first };
                if let Some(data) = data {
                    each(Message { status, data });
                }
            }
        }
    }

    /// Takes out the counts of what was skipped since the last time.
    pub fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }
}

#[cfg(test)]
#[path = "bytes_tests.rs"]
mod tests;
