//! Reads `FORMAT MIN MAX …`: the types of the parameters of a path, and the numbers that stand for
//! 0.0 and 1.0.
//!
//! The reference reads a number as far as it understands it (`10f`, or `0.5` where a whole number is
//! expected). Shows rely on that without knowing, so it is a warning. It also takes a leading zero
//! for octal, which nobody means: here `010` is ten.

use super::options::MAX_PARAMETER;
use super::range::OscRange;
use mm_config::{Diagnostics, Spanned};
use std::fmt::Display;

const FORM: &str = "one letter, a minimum and a maximum for each parameter, as in `ff 0.0 1.0 0.0 1.0`";

/// Reads `FORMAT MIN MAX …`.
pub fn read_format(value: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Vec<OscRange>> {
    let mut words = value.value.split_whitespace().map(|word| part(value, word));
    let Some(format) = words.next() else {
        diagnostics
            .error(value.span, "the format is missing")
            .label("expected `FORMAT MIN MAX …`")
            .hint(FORM);
        return None;
    };
    let letters = check_letters(&format, diagnostics)?;
    let numbers: Vec<_> = words.collect();
    let needed = letters.len() * 2;
    if numbers.len() < needed {
        let message = format!("`{}` needs {needed} numbers, but there are {}", format.value, numbers.len());
        diagnostics.error(value.span, message).label("a minimum or maximum is missing").hint(FORM);
        return None;
    }
    if let Some(extra) = numbers.get(needed) {
        let message = format!("`{}` needs {needed} numbers, but there are {}", format.value, numbers.len());
        let span = numbers.last().map_or(extra.span, |last| extra.span.to(last.span));
        diagnostics.warning(span, message).label("ignored").hint(FORM);
    }
    let pairs = letters.into_iter().zip(numbers.chunks_exact(2));
    // Collected first, so that each wrong number is reported.
    let ranges: Vec<_> = pairs.map(|(letter, pair)| read_range(letter, pair, diagnostics)).collect();
    ranges.into_iter().collect()
}

fn check_letters(format: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Vec<char>> {
    let known = |letter: &char| matches!(letter, 'i' | 'f' | 'h' | 'd');
    if let Some((at, letter)) = format.value.char_indices().find(|(_, letter)| !known(letter)) {
        let span = format.span.slice(at..at + letter.len_utf8());
        let error = diagnostics.error(span, format!("`{letter}` is not the type of a parameter"));
        error.label("expected `i`, `f`, `h` or `d`").hint(FORM);
        return None;
    }
    if format.value.len() > MAX_PARAMETER as usize + 1 {
        let message = format!("a message has at most {} parameters here", MAX_PARAMETER + 1);
        diagnostics.error(format.span, message);
        return None;
    }
    Some(format.value.chars().collect())
}

fn read_range(letter: char, pair: &[Spanned<String>], diagnostics: &mut Diagnostics) -> Option<OscRange> {
    let [min, max] = pair else { return None };
    let pair = [min, max];
    match letter {
        'i' => {
            let [min, max] = both(pair, whole_32, "a whole number of 32 bits", letter, diagnostics)?;
            Some(OscRange::Int { min, max })
        }
        'h' => {
            let [min, max] = both(pair, whole_64, "a whole number of 64 bits", letter, diagnostics)?;
            Some(OscRange::Long { min, max })
        }
        'd' => {
            let [min, max] = both(pair, double, "a number", letter, diagnostics)?;
            Some(OscRange::Double { min, max })
        }
        _ => {
            let [min, max] = both(pair, single, "a number", letter, diagnostics)?;
            Some(OscRange::Float { min, max })
        }
    }
}

fn both<T: Display>(
    pair: [&Spanned<String>; 2],
    read: impl Fn(&str) -> Option<Bound<T>>,
    expected: &str,
    letter: char,
    diagnostics: &mut Diagnostics,
) -> Option<[T; 2]> {
    let [min, max] = pair.map(|word| {
        let bound = read(&word.value);
        match &bound {
            Some(Bound { is_as_written: true, .. }) => {}
            Some(Bound { number, .. }) => {
                let message = format!("`{}` is read as `{number}`", word.value);
                diagnostics.warning(word.span, message).label(format!("expected {expected}"));
            }
            None => {
                let message = format!("`{}` cannot bound a parameter of type `{letter}`", word.value);
                diagnostics.error(word.span, message).label(format!("expected {expected}"));
            }
        }
        bound.map(|bound| bound.number)
    });
    Some([min?, max?])
}

/// A number, and whether all of its text says so.
struct Bound<T> {
    number: T,
    is_as_written: bool,
}

/// The nearest number of 32 bits.
fn whole_32(text: &str) -> Option<Bound<i32>> {
    let Bound { number: long, is_as_written } = whole_64(text)?;
    let number = long.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    Some(Bound { number, is_as_written: is_as_written && i64::from(number) == long })
}

/// Decimal, hexadecimal with `0x`, or with a fraction, which is cut off.
fn whole_64(text: &str) -> Option<Bound<i64>> {
    let hexadecimal = text.strip_prefix("0x").and_then(|digits| i64::from_str_radix(digits, 16).ok());
    if let Some(number) = text.parse().ok().or(hexadecimal) {
        return Some(Bound { number, is_as_written: true });
    }
    let Bound { number, is_as_written } = double(text)?;
    // `as` takes the nearest number of 64 bits.
    let is_as_written = is_as_written && number.fract() == 0.0 && number.abs() < 9.0e15;
    Some(Bound { number: number.trunc() as i64, is_as_written })
}

fn single(text: &str) -> Option<Bound<f32>> {
    let Bound { number, is_as_written } = double(text)?;
    let number = Some(number as f32).filter(|number| number.is_finite())?;
    Some(Bound { number, is_as_written })
}

/// The longest beginning of `text` that is a number.
fn double(text: &str) -> Option<Bound<f64>> {
    let ends = (1..=text.len()).rev().filter(|end| text.is_char_boundary(*end));
    let mut numbers = ends.filter_map(|end| {
        let number = text[..end].parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(Bound { number, is_as_written: end == text.len() })
    });
    numbers.next()
}

/// A word of a value with its span.
fn part(whole: &Spanned<String>, word: &str) -> Spanned<String> {
    let start = word.as_ptr().addr() - whole.value.as_ptr().addr();
    Spanned { value: word.to_string(), span: whole.span.slice(start..start + word.len()) }
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::{errors, ranges, warnings};
    use super::*;
    #[test]
    fn a_format_has_a_letter_and_two_numbers_for_each_parameter() {
        assert_eq!(ranges("f 0.0 1.0"), [OscRange::Float { min: 0.0, max: 1.0 }]);
        assert_eq!(ranges("d  -1e3\t1e3"), [OscRange::Double { min: -1000.0, max: 1000.0 }]);
        assert_eq!(ranges("i 255 0"), [OscRange::Int { min: 255, max: 0 }], "a range may be inverted");
        assert_eq!(
            ranges("i 0.0 255.0"),
            [OscRange::Int { min: 0, max: 255 }],
            "a whole number may have a point"
        );
        assert_eq!(ranges("h 0 9223372036854775807"), [OscRange::Long { min: 0, max: i64::MAX }]);
        assert_eq!(ranges("ff 0 1 2 3")[1], OscRange::Float { min: 2.0, max: 3.0 });
    }

    #[test]
    fn each_mistake_in_a_format_is_underlined() {
        assert_eq!(errors("fx 0 1 0 1"), ["x"]);
        assert_eq!(errors("ff 0 1 0"), ["ff 0 1 0"]);
        assert_eq!(errors("f"), ["f"]);
        assert_eq!(errors(""), [""]);
        assert_eq!(errors("ff a 1 0 b"), ["a", "b"]);
        assert_eq!(errors("f 0 inf"), ["inf"]);
        assert_eq!(errors("f 0 1e39"), ["1e39"]);
        assert_eq!(errors("d NaN 1"), ["NaN"]);
        assert_eq!(errors(&"f".repeat(1025)).len(), 1);
    }

    #[test]
    fn numbers_that_say_something_else_than_they_seem_to_are_warnings() {
        let underlined = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let int = |min, max| OscRange::Int { min, max };
        assert_eq!(
            warnings("f 0f 10.5f"),
            (OscRange::Float { min: 0.0, max: 10.5 }, underlined(&["0f", "10.5f"]))
        );
        assert_eq!(warnings("i 0.5 10.9"), (int(0, 10), underlined(&["0.5", "10.9"])));
        assert_eq!(warnings("i 0 2147483648"), (int(0, i32::MAX), underlined(&["2147483648"])));
        assert_eq!(warnings("h 0 9e99"), (OscRange::Long { min: 0, max: i64::MAX }, underlined(&["9e99"])));
        assert_eq!(ranges("i 010 -010"), [int(10, -10)], "decimal");
    }
}
