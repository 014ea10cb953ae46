//! The sizes of a worker's rings. Each side keeps its own copy; the worker gets them on its command
//! line.

use std::fmt;
use std::io;
use std::str::FromStr;
use thiserror::Error;

const SLOTS_LIMIT: u32 = 1 << 24;

/// Slots of the two rings, each a power of two. A ring holds one event less than it has slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSizes {
    /// Slots of the ring to the worker.
    pub down_slots: u32,
    /// Slots of the ring from the worker.
    pub up_slots: u32,
}

impl Default for RingSizes {
    /// 256 KiB of records each way.
    fn default() -> RingSizes {
        RingSizes { down_slots: 16384, up_slots: 16384 }
    }
}

/// Why sizes are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RingSizesError {
    /// Not two numbers with a comma between them.
    #[error("`{0}` is not of the form `DOWN,UP`")]
    Form(String),
    /// A number of slots that a ring cannot have.
    #[error("a ring cannot have {0} slots, only a power of two from 2 to {SLOTS_LIMIT}")]
    Slots(u32),
}

impl RingSizes {
    /// Checks that both rings can be made.
    ///
    /// # Errors
    ///
    /// [`RingSizesError::Slots`] for the first that cannot.
    pub fn check(self) -> Result<(), RingSizesError> {
        let fits = |slots: &u32| slots.is_power_of_two() && (2..=SLOTS_LIMIT).contains(slots);
        match [self.down_slots, self.up_slots].into_iter().find(|slots| !fits(slots)) {
            Some(slots) => Err(RingSizesError::Slots(slots)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RingSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.down_slots, self.up_slots)
    }
}

impl FromStr for RingSizes {
    type Err = RingSizesError;

    fn from_str(text: &str) -> Result<RingSizes, RingSizesError> {
        let numbers =
            text.split_once(',').and_then(|(down, up)| Some((down.parse().ok()?, up.parse().ok()?)));
        let (down_slots, up_slots) = numbers.ok_or_else(|| RingSizesError::Form(text.to_owned()))?;
        let ring_sizes = RingSizes { down_slots, up_slots };
        ring_sizes.check().map(|()| ring_sizes)
    }
}

impl From<RingSizesError> for io::Error {
    fn from(error: RingSizesError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::{RingSizes, RingSizesError};

    #[test]
    fn it_survives_the_command_line() {
        let ring_sizes = RingSizes { down_slots: 2, up_slots: 4096 };
        assert_eq!(ring_sizes.to_string().parse(), Ok(ring_sizes));
    }

    #[test]
    fn sizes_that_no_ring_can_have_are_refused() {
        for slots in [0, 1, 3, 1 << 25, u32::MAX] {
            assert_eq!(format!("{slots},16").parse::<RingSizes>(), Err(RingSizesError::Slots(slots)));
        }
    }

    #[test]
    fn what_is_not_two_numbers_is_refused() {
        for text in ["", "16", "16,", ",", "16,16,16", "16,-1", "a,b", "16, 16"] {
            assert_eq!(text.parse::<RingSizes>(), Err(RingSizesError::Form(text.to_owned())));
        }
    }
}
