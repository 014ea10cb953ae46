//! Numbers on the wire to channel values and back: the type of an argument with its range.
//!
//! Integers are rounded to the nearest, so that every integer of a range survives the way to a
//! channel value and back. A range may be inverted (its minimum above its maximum), or a single
//! value, which is then a constant.

/// The value of an argument whose type carries a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OscNumber {
    Int(i32),
    Float(f32),
    Long(i64),
    Double(f64),
}

/// An argument of a message, as far as it matters to a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OscArgument {
    Number(OscNumber),
    /// `T` and `F`: the upper or the lower end of a range.
    Switch(bool),
    /// Strings, blobs, time tags and so on. They take up the place of a parameter and have no
    /// value.
    Other,
}

/// The type of a parameter with the values that stand for 0.0 and 1.0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OscRange {
    Int { min: i32, max: i32 },
    Float { min: f32, max: f32 },
    Long { min: i64, max: i64 },
    Double { min: f64, max: f64 },
}

impl OscRange {
    /// The range of an argument for which the show has no pattern.
    pub fn default_of(number: OscNumber) -> Self {
        match number {
            OscNumber::Int(_) => Self::Int { min: 0, max: 255 },
            OscNumber::Float(_) => Self::Float { min: 0.0, max: 1.0 },
            OscNumber::Long(_) => Self::Long { min: 0, max: 1024 },
            OscNumber::Double(_) => Self::Double { min: 0.0, max: 1.0 },
        }
    }

    /// The channel value of an argument, clipped to 0.0..=1.0. `None`: it has none (NaN, a string).
    ///
    /// The argument need not have the type of the range: a peer may send `i` where `f` was
    /// expected.
    pub fn normalise(self, argument: OscArgument) -> Option<f64> {
        let number = match argument {
            OscArgument::Number(number) => number,
            OscArgument::Switch(on) => return Some(if on { 1.0 } else { 0.0 }),
            OscArgument::Other => return None,
        };
        if let (Self::Long { min, max }, OscNumber::Long(value)) = (self, number) {
            return ratio(difference(value, min), difference(max, min));
        }
        let (min, max) = self.bounds();
        let value = number.to_f64();
        match max - min {
            span if span.is_finite() => ratio(value - min, span),
            // The range of `d` may be wider than an f64 can hold; half of it is not.
            _ => ratio(value / 2.0 - min / 2.0, max / 2.0 - min / 2.0),
        }
    }

    /// The number that stands for a channel value.
    pub fn denormalise(self, value: f64) -> OscNumber {
        let value = value.clamp(0.0, 1.0);
        match self {
            Self::Int { min, max } => {
                let number = between(f64::from(min), f64::from(max), value).round();
                OscNumber::Int(number as i32)
            }
            Self::Float { min, max } => {
                OscNumber::Float(between(f64::from(min), f64::from(max), value) as f32)
            }
            Self::Long { min, max } => OscNumber::Long(long_between(min, max, value)),
            Self::Double { min, max } => OscNumber::Double(between(min, max, value)),
        }
    }

    fn bounds(self) -> (f64, f64) {
        match self {
            Self::Int { min, max } => (f64::from(min), f64::from(max)),
            Self::Float { min, max } => (f64::from(min), f64::from(max)),
            Self::Long { min, max } => (min as f64, max as f64),
            Self::Double { min, max } => (min, max),
        }
    }
}

impl OscNumber {
    fn to_f64(self) -> f64 {
        match self {
            Self::Int(value) => f64::from(value),
            Self::Float(value) => f64::from(value),
            Self::Long(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

fn ratio(offset: f64, span: f64) -> Option<f64> {
    if offset.is_nan() {
        return None;
    }
    if span == 0.0 {
        return Some(if offset >= 0.0 { 1.0 } else { 0.0 });
    }
    // Adding 0.0 turns a negative zero into a positive one.
    Some((offset / span).clamp(0.0, 1.0) + 0.0)
}

/// Exact at both ends, also where the span is more than an f64 can hold.
fn between(min: f64, max: f64, value: f64) -> f64 {
    match max - min {
        _ if value >= 1.0 => max,
        span if span.is_finite() => min + span * value,
        _ => min * (1.0 - value) + max * value,
    }
}

fn long_between(min: i64, max: i64, value: f64) -> i64 {
    if value >= 1.0 {
        return max;
    }
    let offset = (difference(max, min) * value).round() as i128;
    let number = (i128::from(min) + offset).clamp(i128::from(min.min(max)), i128::from(min.max(max)));
    i64::try_from(number).unwrap_or(max)
}

/// Subtracts integers: two large numbers that differ a little keep their difference.
fn difference(a: i64, b: i64) -> f64 {
    (i128::from(a) - i128::from(b)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn int(value: i32) -> OscArgument {
        OscArgument::Number(OscNumber::Int(value))
    }

    fn float(value: f32) -> OscArgument {
        OscArgument::Number(OscNumber::Float(value))
    }

    #[test]
    fn each_of_the_256_steps_of_a_byte_survives_the_way_there_and_back() {
        for range in [OscRange::Int { min: 0, max: 255 }, OscRange::Int { min: 255, max: 0 }] {
            for step in 0..=255 {
                let value = range.normalise(int(step)).expect("a number has a value");
                assert_eq!(range.denormalise(value), OscNumber::Int(step));
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_clipped() {
        let range = OscRange::Float { min: -1.0, max: 1.0 };
        assert_eq!(range.normalise(float(-7.0)), Some(0.0));
        assert_eq!(range.normalise(float(7.0)), Some(1.0));
        assert_eq!(range.normalise(float(f32::INFINITY)), Some(1.0));
        assert_eq!(range.normalise(float(f32::NEG_INFINITY)), Some(0.0));
        assert_eq!(OscRange::Int { min: 0, max: 10 }.normalise(int(i32::MIN)), Some(0.0));
    }

    #[test]
    fn what_is_not_a_number_has_no_value() {
        let range = OscRange::Float { min: 0.0, max: 1.0 };
        assert_eq!(range.normalise(float(f32::NAN)), None);
        assert_eq!(range.normalise(OscArgument::Other), None);
    }

    #[test]
    fn true_and_false_are_the_ends_of_any_range() {
        let range = OscRange::Int { min: 20, max: 10 };
        assert_eq!(range.normalise(OscArgument::Switch(true)), Some(1.0));
        assert_eq!(range.normalise(OscArgument::Switch(false)), Some(0.0));
    }

    #[test]
    fn an_inverted_range_turns_the_values_round() {
        let range = OscRange::Float { min: 1.0, max: 0.0 };
        assert_eq!(range.normalise(float(0.25)), Some(0.75));
        assert_eq!(range.denormalise(0.75), OscNumber::Float(0.25));
    }

    #[test]
    fn a_range_of_one_value_is_a_threshold_and_a_constant() {
        let range = OscRange::Int { min: 3, max: 3 };
        assert_eq!([2, 3, 4].map(|number| range.normalise(int(number))), [Some(0.0), Some(1.0), Some(1.0)]);
        assert_eq!(range.denormalise(0.5), OscNumber::Int(3));
    }

    #[test]
    fn an_argument_of_another_type_is_measured_against_the_range() {
        assert_eq!(OscRange::Float { min: 0.0, max: 10.0 }.normalise(int(5)), Some(0.5));
        assert_eq!(OscRange::Int { min: 0, max: 10 }.normalise(float(2.5)), Some(0.25));
    }

    #[test]
    fn the_widest_ranges_do_not_overflow() {
        let wide = OscRange::Double { min: -f64::MAX, max: f64::MAX };
        assert_eq!(wide.normalise(OscArgument::Number(OscNumber::Double(0.0))), Some(0.5));
        assert_eq!(wide.denormalise(0.5), OscNumber::Double(0.0));
        let long = OscRange::Long { min: i64::MIN, max: i64::MAX };
        assert_eq!(long.denormalise(0.0), OscNumber::Long(i64::MIN));
        assert_eq!(long.denormalise(1.0), OscNumber::Long(i64::MAX));
        assert_eq!(long.normalise(OscArgument::Number(OscNumber::Long(i64::MAX))), Some(1.0));
    }

    proptest! {
        #[test]
        fn every_integer_of_any_range_survives_the_way_there_and_back(a: i32, b: i32, c: i32) {
            let range = OscRange::Int { min: a, max: b };
            let inside = (i64::from(c).rem_euclid(i64::from(a.abs_diff(b)) + 1) + i64::from(a.min(b))) as i32;
            if a != b {
                let value = range.normalise(int(inside)).expect("a number has a value");
                prop_assert_eq!(range.denormalise(value), OscNumber::Int(inside));
            }
        }

        #[test]
        fn values_stay_between_zero_and_one_and_numbers_inside_their_range(
            min: f64, max: f64, argument: f64, value in 0.0..=1.0_f64
        ) {
            prop_assume!(min.is_finite() && max.is_finite());
            let range = OscRange::Double { min, max };
            if let Some(value) = range.normalise(OscArgument::Number(OscNumber::Double(argument))) {
                prop_assert!((0.0..=1.0).contains(&value));
            }
            let OscNumber::Double(number) = range.denormalise(value) else { panic!("a double stays one") };
            prop_assert!(number >= min.min(max) && number <= min.max(max));
        }

        #[test]
        fn longs_stay_inside_their_range(min: i64, max: i64, value in 0.0..=1.0_f64) {
            let OscNumber::Long(number) = (OscRange::Long { min, max }).denormalise(value) else { panic!("a long stays one") };
            prop_assert!(number >= min.min(max) && number <= min.max(max));
        }
    }
}
