//! The sizes of an incarnation's rings. Each side keeps its own copy; the worker is told them on its command line.

use std::fmt;
use std::io;
use std::str::FromStr;
use thiserror::Error;

const MOST_SLOTS: u32 = 1 << 24;

/// Slots of the two rings, each a power of two. A ring holds one event less than it has slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Slots of the ring to the worker.
    pub down_slots: u32,
    /// Slots of the ring from the worker.
    pub up_slots: u32,
}

impl Default for Geometry {
    /// 256 KiB of records each way.
    fn default() -> Geometry {
        Geometry { down_slots: 16384, up_slots: 16384 }
    }
}

/// Why a geometry is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GeometryError {
    /// Not two numbers with a comma between them.
    #[error("`{0}` is not of the form `DOWN,UP`")]
    Form(String),
    /// A number of slots that a ring cannot have.
    #[error("a ring cannot have {0} slots, only a power of two from 2 to {MOST_SLOTS}")]
    Slots(u32),
}

impl Geometry {
    /// Checks that both rings can be made.
    ///
    /// # Errors
    ///
    /// [`GeometryError::Slots`] for the first that cannot.
    pub fn check(self) -> Result<(), GeometryError> {
        let fits = |slots: &u32| slots.is_power_of_two() && (2..=MOST_SLOTS).contains(slots);
        match [self.down_slots, self.up_slots].into_iter().find(|slots| !fits(slots)) {
            Some(slots) => Err(GeometryError::Slots(slots)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.down_slots, self.up_slots)
    }
}

impl FromStr for Geometry {
    type Err = GeometryError;

    fn from_str(text: &str) -> Result<Geometry, GeometryError> {
        let numbers =
            text.split_once(',').and_then(|(down, up)| Some((down.parse().ok()?, up.parse().ok()?)));
        let (down_slots, up_slots) = numbers.ok_or_else(|| GeometryError::Form(text.to_owned()))?;
        let geometry = Geometry { down_slots, up_slots };
        geometry.check().map(|()| geometry)
    }
}

impl From<GeometryError> for io::Error {
    fn from(error: GeometryError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

#[cfg(test)]
mod tests {
    use super::{Geometry, GeometryError};

    #[test]
    fn it_survives_the_command_line() {
        let geometry = Geometry { down_slots: 2, up_slots: 4096 };
        assert_eq!(geometry.to_string().parse(), Ok(geometry));
    }

    #[test]
    fn sizes_that_no_ring_can_have_are_refused() {
        for slots in [0, 1, 3, 1 << 25, u32::MAX] {
            assert_eq!(format!("{slots},16").parse::<Geometry>(), Err(GeometryError::Slots(slots)));
        }
    }

    #[test]
    fn what_is_not_two_numbers_is_refused() {
        for text in ["", "16", "16,", ",", "16,16,16", "16,-1", "a,b", "16, 16"] {
            assert_eq!(text.parse::<Geometry>(), Err(GeometryError::Form(text.to_owned())));
        }
    }
}
