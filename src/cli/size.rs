//! Sizes as people read them.

/// Bytes in binary units with three digits: `668 MiB`, `1.20 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
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
            (1023 << 20, "1.00 GiB"),
        ];
        for (count, want) in cases {
            assert_eq!(super::bytes(count), want);
        }
    }
}
