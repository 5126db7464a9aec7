//! Parses numbers on the command line, with errors for people.

use std::num::{IntErrorKind, ParseIntError};
use std::str::FromStr;

/// A whole number.
pub(crate) fn whole<T: FromStr<Err = ParseIntError>>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "must be at least 1",
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "out of range",
        _ => "not a whole number",
    })
}

/// A number that may have a fraction.
pub(crate) fn decimal(text: &str) -> Result<f32, &'static str> {
    text.parse().map_err(|_| "not a number")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    #[test]
    fn what_is_not_a_number_is_reported_in_words() {
        assert_eq!(whole::<u32>("12"), Ok(12));
        assert_eq!(whole::<u32>("ngl"), Err("not a whole number"));
        assert_eq!(whole::<u32>("1,2"), Err("not a whole number"));
        assert_eq!(whole::<u32>("4294967296"), Err("out of range"));
        assert_eq!(whole::<NonZeroUsize>("0"), Err("must be at least 1"));
        assert_eq!(decimal("0.5"), Ok(0.5));
        assert_eq!(decimal("hot"), Err("not a number"));
    }
}
