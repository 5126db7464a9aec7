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

/// The most sequences of a context: llama.cpp's own limit (`LLAMA_MAX_SEQ`).
const MOST_PASS: u64 = 256;

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

/// Tokens or sequences of a single pass; 0 has a meaning of its own.
pub(crate) fn pass<T: FromStr>(text: &str) -> Result<T, String> {
    within(text, 0, MOST_PASS)
}

/// Seconds, an hour at most.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    within(text, 1, 3600)
}

fn within<T: FromStr>(text: &str, least: u64, most: u64) -> Result<T, String> {
    let number: u64 = whole(text).map_err(|problem| match problem {
        "out of range" => format!("must be from {least} to {most}"),
        problem => problem.to_owned(),
    })?;
    if number < least {
        return Err(format!("must be at least {least}"));
    }
    let too_many = || format!("must be at most {most}");
    if number > most {
        return Err(too_many());
    }
    text.parse().map_err(|_| too_many())
}

/// A number that may have a fraction.
pub(crate) fn decimal(text: &str) -> Result<f32, &'static str> {
    text.parse().map_err(|_| "not a number")
}

/// A temperature: 0 or more.
pub(crate) fn temperature(text: &str) -> Result<f32, &'static str> {
    fitting(text, |number| number >= 0.0, "must be 0 or more")
}

/// A probability.
pub(crate) fn probability(text: &str) -> Result<f32, &'static str> {
    fitting(
        text,
        |number| (0.0..=1.0).contains(&number),
        "must be from 0 to 1",
    )
}

/// A factor.
pub(crate) fn factor(text: &str) -> Result<f32, &'static str> {
    fitting(text, |number| number > 0.0, "must be more than 0")
}

/// Any number that is finite.
pub(crate) fn finite(text: &str) -> Result<f32, &'static str> {
    fitting(text, |_| true, "must be finite")
}

fn fitting(text: &str, is_fine: impl Fn(f32) -> bool, wanted: &'static str) -> Result<f32, &'static str> {
    let number = decimal(text)?;
    let fine = number.is_finite() && is_fine(number);
    if fine { Ok(number) } else { Err(wanted) }
}

/// A number of tokens to make; `None`, for which -1 and -2 are typed, until the text ends or the context is full.
pub(crate) fn limit(text: &str) -> Result<Option<usize>, &'static str> {
    match whole::<i64>(text)? {
        -2 | -1 => Ok(None),
        count => usize::try_from(count)
            .map(Some)
            .map_err(|_| "must be a number of tokens, or -1 for no limit"),
    }
}

/// A number of recent tokens, or -1 for all.
pub(crate) fn window(text: &str) -> Result<i32, &'static str> {
    let count = whole::<i32>(text)?;
    Some(count)
        .filter(|count| *count >= -1)
        .ok_or("must be a number of tokens, or -1 for the whole context")
}

/// A seed; `None` if one is to be drawn, for which -1 is typed. llama.cpp's 4294967295 means the same.
pub(crate) fn seed(text: &str) -> Result<Option<u32>, &'static str> {
    const WANTED: &str = "must be from 0 to 4294967295, or -1 for a random one";
    match whole::<i64>(text).map_err(|error| if error == "out of range" { WANTED } else { error })? {
        -1 | 4_294_967_295 => Ok(None),
        seed => u32::try_from(seed).map(Some).map_err(|_| WANTED),
    }
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

    #[test]
    fn numbers_out_of_their_range_are_refused() {
        type Parser = fn(&str) -> Result<f32, &'static str>;
        let cases: [(Parser, &[&str], &[&str]); 4] = [
            (temperature, &["0", "0.8", "100"], &["-1", "nan", "inf", "hot"]),
            (probability, &["0", "1", "0.95"], &["-0.1", "2", "nan"]),
            (factor, &["0.5", "1.1"], &["0", "-1", "inf"]),
            (finite, &["-2", "0", "1.5"], &["nan", "-inf"]),
        ];
        for (parse, fine, wrong) in cases {
            assert!(fine.iter().all(|text| parse(text).is_ok()), "{fine:?}");
            assert!(wrong.iter().all(|text| parse(text).is_err()), "{wrong:?}");
        }
        assert_eq!(
            (limit("-1"), limit("-2"), limit("7")),
            (Ok(None), Ok(None), Ok(Some(7)))
        );
        assert!(limit("-5").is_err_and(|error| error.contains("-1 for no limit")));
        let seeds = ["-1", "4294967295", "0", "42"].map(seed);
        assert_eq!(seeds, [Ok(None), Ok(None), Ok(Some(0)), Ok(Some(42))]);
        for wrong in ["-2", "4294967296", "99999999999999999999", "x"] {
            assert!(seed(wrong).is_err(), "{wrong}");
        }
    }
}
