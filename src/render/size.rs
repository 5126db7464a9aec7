//! Formats and parses sizes for people.

pub(crate) use siskin_harness::report::number::bytes;

/// Parses a size as people write it: `2GiB`, `900 MiB`, `1.5G`, `512M`, or bytes. Units are binary.
///
/// # Errors
/// If the text is not a size of at least one byte.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write e.g. 2GiB, 900MiB or a number of bytes");
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let letter = unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let power = ["", "k", "m", "g", "t"]
        .iter()
        .position(|name| *name == letter)
        .ok_or_else(wrong)?;
    let value: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = value * f64::powi(1024.0, i32::try_from(power).map_err(|_| wrong())?);
    // Above 2^53 a float skips whole numbers; no machine has that much memory.
    if (1.0..9e15).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(wrong())
    }
}

/// Parses the memory of a device as [`parse`] does. A small number without a unit is a slip: `512` is not 512 bytes.
///
/// # Errors
/// As [`parse`]'s, or the unit is missing.
pub(crate) fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse(text)?;
    let has_unit = text.trim().contains(|c: char| c.is_ascii_alphabetic());
    if !has_unit && bytes < 1 << 20 {
        let number = text.trim();
        return Err(format!(
            "{number:?} has no unit; write e.g. {number}MiB or {number}GiB"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1024, "1.00 KiB"),
            (10 << 20, "10.0 MiB"),
            (668 << 20, "668 MiB"),
            (1023 << 20, "0.999 GiB"),
        ];
        for (count, want) in cases {
            assert_eq!(super::bytes(count), want);
        }
    }

    #[test]
    fn sizes_are_read() {
        let cases = [
            ("2GiB", Some(2 << 30)),
            ("900 MiB", Some(900 << 20)),
            ("1.5G", Some(3 << 29)),
            ("512m", Some(512 << 20)),
            ("4096", Some(4096)),
            ("1kb", Some(1024)),
            ("0", None),
            ("-1G", None),
            ("2 apples", None),
            ("1e3", None),
            ("", None),
            ("99999999T", None),
        ];
        for (text, want) in cases {
            assert_eq!(super::parse(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn memory_needs_a_unit() {
        let cases = [
            ("512MiB", Some(512 << 20)),
            ("4g", Some(4 << 30)),
            ("2147483648", Some(2 << 30)),
            ("512", None),
            (" 4 ", None),
            ("1.5", None),
            ("2 apples", None),
        ];
        for (text, want) in cases {
            assert_eq!(super::parse_memory(text).ok(), want, "{text}");
        }
        let error = super::parse_memory("512").expect_err("no unit");
        assert_eq!(error, "\"512\" has no unit; write e.g. 512MiB or 512GiB");
    }
}
