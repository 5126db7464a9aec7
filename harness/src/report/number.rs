//! Formats numbers for people.

/// Three significant digits, no exponent: `0.123`, `12.3`, `1234`.
pub fn three(value: f64) -> String {
    let magnitude = value.abs();
    let digits = match magnitude {
        _ if magnitude >= 99.95 || magnitude == 0.0 => 0,
        _ if magnitude >= 9.995 => 1,
        _ if magnitude >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// Formats seconds as milliseconds: `12.3 ms`.
pub fn millis(seconds: f64) -> String {
    format!("{} ms", three(seconds * 1e3))
}

/// Formats a share as a percentage: `86 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Formats bytes in binary units: `668 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = if unit == 0 {
        format!("{value:.0}")
    } else {
        three(value)
    };
    format!("{number} {}", UNITS[unit])
}

/// Formats bytes in decimal units, as is usual for bandwidths: `25.1 GB`.
pub fn decimal_bytes(count: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")];
    let unit = units.into_iter().find(|(scale, _)| count >= 0.9995 * scale);
    let (scale, unit) = unit.unwrap_or((1.0, "B"));
    format!("{} {unit}", three(count / scale))
}

/// Formats a number of weights: `1.10 B`.
pub fn parameters(count: u64) -> String {
    let units = [(1e9, "B"), (1e6, "M"), (1e3, "K")];
    let count = count as f64;
    match units.into_iter().find(|(scale, _)| count >= 0.9995 * scale) {
        Some((scale, unit)) => format!("{} {unit}", three(count / scale)),
        None => format!("{count:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let cases = [
            (three(0.0), "0"),
            (three(0.01234), "0.012"),
            (three(0.9999), "1.00"),
            (three(9.994), "9.99"),
            (three(99.96), "100"),
            (three(1234.4), "1234"),
            (millis(0.0123), "12.3 ms"),
            (percent(0.856), "86 %"),
            (bytes(668 << 20), "668 MiB"),
            (bytes(12), "12 B"),
            (decimal_bytes(25.12e9), "25.1 GB"),
            (parameters(1_100_048_384), "1.10 B"),
            (parameters(264_128), "264 K"),
            (parameters(7), "7"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
