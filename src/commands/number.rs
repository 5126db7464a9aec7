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

/// The most threads: ggml's own limit (`GGML_MAX_N_THREADS`).
const MOST_THREADS: u64 = 512;
/// The most tokens of a context or a prompt: llama.cpp numbers positions in 32 bits.
const MOST_TOKENS: u64 = 1 << 30;
/// The most tokens computed at a time.
const MOST_UBATCH: u64 = 1 << 16;

/// A number of threads.
pub(crate) fn threads<T: FromStr>(text: &str) -> Result<T, String> {
    within(text, 1, MOST_THREADS)
}

/// A number of tokens: a context, a prompt; 0 has a meaning of its own.
pub(crate) fn tokens<T: FromStr>(text: &str) -> Result<T, String> {
    within(text, 0, MOST_TOKENS)
}

/// A number of tokens that are computed at a time.
pub(crate) fn ubatch<T: FromStr>(text: &str) -> Result<T, String> {
    within(text, 1, MOST_UBATCH)
}

fn within<T: FromStr>(text: &str, least: u64, most: u64) -> Result<T, String> {
    let number = whole::<u64>(text);
    let number = match number {
        Err("out of range") => Err(format!("must be from {least} to {most}")),
        number => number.map_err(str::to_owned),
    }?;
    if number < least {
        return Err(format!("must be at least {least}"));
    }
    let number = Some(number).filter(|number| *number <= most);
    number
        .and_then(|number| number.to_string().parse().ok())
        .ok_or_else(|| format!("must be at most {most}"))
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
        assert_eq!(threads::<usize>("4"), Ok(4));
        assert_eq!(
            threads::<NonZeroUsize>("512"),
            Ok(NonZeroUsize::new(512).expect("not 0"))
        );
        let refusals = [
            (threads::<usize>("0"), "must be at least 1"),
            (threads::<usize>("100000"), "must be at most 512"),
            (threads::<usize>("18446744073709551616"), "must be from 1 to 512"),
            (threads::<usize>("q8_0"), "not a whole number"),
            (tokens::<usize>("4294967295"), "must be at most 1073741824"),
            (ubatch::<usize>("65537"), "must be at most 65536"),
        ];
        for (parsed, want) in refusals {
            assert_eq!(parsed, Err(want.to_owned()));
        }
        assert_eq!(decimal("0.5"), Ok(0.5));
        assert_eq!(decimal("hot"), Err("not a number"));
    }
}
