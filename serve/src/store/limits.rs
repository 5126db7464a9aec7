//! The store's limits, and how they are written: `512MiB`, `1GiB/day`, `off`.

use std::fmt;
use std::str::FromStr;

/// What a store may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of its folder.
    pub folder: u64,
    /// Bytes written in any 24 hours.
    pub daily: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            folder: 512 << 20,
            daily: 1 << 30,
        }
    }
}

/// Units, the longest spelling first among those that end alike.
const UNITS: [(&str, u64); 12] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("B", 1),
];

/// A text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write a number with a unit, as {1}")]
pub struct SizeError(String, &'static str);

/// A number of bytes: `512MiB`, `1.5 GiB`, `1000`; a unit in any case.
///
/// # Errors
/// The text is something else, or too large.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    bytes(text).ok_or_else(|| SizeError(text.chars().take(40).collect(), "512MiB"))
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let factor = match unit {
        "" => 1,
        _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() && !fraction.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let digits: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(digits) * u128::from(factor) / u128::from(scale);
    whole.checked_mul(factor)?.checked_add(u64::try_from(part).ok()?)
}

/// What may be written a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DailyWrites {
    /// So many bytes.
    Bytes(u64),
    /// Nothing.
    Off,
}

impl FromStr for DailyWrites {
    type Err = SizeError;

    /// `1GiB/day`, `1GiB`, or `off`.
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("off") {
            return Ok(DailyWrites::Off);
        }
        let size = ["/day", "/d"]
            .iter()
            .find_map(|end| trimmed.strip_suffix(end))
            .unwrap_or(trimmed);
        match bytes(size) {
            None => Err(SizeError(text.chars().take(40).collect(), "1GiB/day, or off")),
            Some(0) => Ok(DailyWrites::Off),
            Some(bytes) => Ok(DailyWrites::Bytes(bytes)),
        }
    }
}

impl fmt::Display for DailyWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DailyWrites::Off => f.write_str("off"),
            DailyWrites::Bytes(bytes) => {
                let binary = UNITS[..4]
                    .iter()
                    .rev()
                    .find(|(_, size)| bytes.is_multiple_of(*size));
                match binary {
                    Some((unit, size)) => write!(f, "{}{unit}/day", bytes / size),
                    None => write!(f, "{bytes}B/day"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let table = [
            ("512MiB", Some(512 << 20)),
            ("512 mib", Some(512 << 20)),
            ("512M", Some(512 << 20)),
            ("1GB", Some(1_000_000_000)),
            (" 1.5GiB ", Some(3 << 29)),
            (".5K", Some(512)),
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("1000B", Some(1000)),
            ("16383.99TiB", Some(18_014_387_514_365_706)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("16777216TiB", None),
            ("1.00000000000000000000001GiB", None),
            ("", None),
            (".", None),
            ("1.", Some(1)),
            ("1.2.3", None),
            ("-1", None),
            ("+1", None),
            ("1e9", None),
            ("GiB", None),
            ("1 GiB/day", None),
            ("1PiB", None),
            ("٣MiB", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_size(text).ok(), want, "{text:?}");
        }
        let error = parse_size(&"x".repeat(500)).expect_err("no size").to_string();
        assert!(error.len() < 120, "{error}");
    }

    #[test]
    fn daily_writes_are_a_size_or_off_and_print_as_they_are_read() {
        let gib = DailyWrites::Bytes(1 << 30);
        let table = [
            ("1GiB/day", Some(gib)),
            ("1GiB", Some(gib)),
            ("1024MiB/d", Some(gib)),
            ("off", Some(DailyWrites::Off)),
            ("OFF", Some(DailyWrites::Off)),
            ("0", Some(DailyWrites::Off)),
            ("off/day", None),
            ("1GiB/week", None),
            ("/day", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(text.parse().ok(), want, "{text:?}");
        }
        for writes in [
            gib,
            DailyWrites::Off,
            DailyWrites::Bytes(1000),
            DailyWrites::Bytes(3 << 19),
        ] {
            assert_eq!(writes.to_string().parse(), Ok(writes));
        }
        assert_eq!(gib.to_string(), "1GiB/day");
    }
}
