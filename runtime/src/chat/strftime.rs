//! `strftime_now` of templates: Python's `datetime.now().strftime`, in the C locale.

use jiff::ZonedDateTime;
use jiff::fmt::strtime;

/// Directives that jiff writes as the C library does.
const SAME: &str = "aAbBCdDeFgGhHIjklmMnpPRStTuUVwWyY";

/// Directives that a locale decides, in the C locale; Python's own time has no zone.
const OTHERS: [(char, &str); 6] = [
    ('c', "%a %b %e %H:%M:%S %Y"),
    ('r', "%I:%M:%S %p"),
    ('x', "%m/%d/%y"),
    ('X', "%H:%M:%S"),
    ('z', ""),
    ('Z', ""),
];

/// The time in a format; what is no directive stays as it is.
pub(super) fn format(format: &str, now: &ZonedDateTime) -> Result<String, String> {
    let mut text = String::with_capacity(format.len());
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        text += before;
        let flags = after
            .find(|c| !matches!(c, '-' | '_' | '0' | '^' | '#'))
            .unwrap_or(after.len());
        let Some(directive) = after[flags..].chars().next() else {
            return Ok(text + "%" + after);
        };
        let end = flags + directive.len_utf8();
        let other = OTHERS.iter().find(|(other, _)| *other == directive);
        let known = match (directive, other) {
            ('%', _) => Some("%".into()),
            ('f', _) => Some(format!("{:06}", now.subsec_nanosecond() / 1000)),
            (_, Some((_, instead))) => Some(formatted(instead, now)?),
            (directive, _) if SAME.contains(directive) => {
                Some(formatted(&format!("%{}", &after[..end]), now)?)
            }
            _ => None,
        };
        match known {
            Some(known) => text += &known,
            None => text.extend(["%", &after[..end]]),
        }
        rest = &after[end..];
    }
    Ok(text + rest)
}

fn formatted(format: &str, now: &ZonedDateTime) -> Result<String, String> {
    strtime::format(format, now).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_written_as_python_writes_it() {
        let noon = jiff::civil::date(2024, 7, 26).at(12, 30, 0, 0);
        let noon = noon.to_zoned_datetime(jiff::tz::TimeZone::UTC).expect("a date");
        // What Python's strftime gives.
        let cases = [
            ("%d %b %Y", "26 Jul 2024"),
            ("%-d %B %Y", "26 July 2024"),
            ("%I:%M %p", "12:30 PM"),
            ("%j %U %W %V %G %u %w", "208 29 30 30 2024 5 5"),
            ("%Z|%z|%f", "||000000"),
            ("%c", "Fri Jul 26 12:30:00 2024"),
            ("%x %X", "07/26/24 12:30:00"),
            ("%r", "12:30:00 PM"),
            ("%D %T %F %R", "07/26/24 12:30:00 2024-07-26 12:30"),
            ("%y %C", "24 20"),
            ("%^a|%P|%h", "FRI|pm|Jul"),
            ("%n%t%%", "\n\t%"),
            ("%Q %+ %", "%Q %+ %"),
            ("%A, %-m/%-d", "Friday, 7/26"),
        ];
        for (given, want) in cases {
            assert_eq!(format(given, &noon).as_deref(), Ok(want), "{given}");
        }
    }
}
