//! What is worth its bytes. Pure: measured rates and counts in, decisions out.

/// The fewest tokens that are worth a file.
pub const MIN_TOKENS: usize = 256;
/// How often a prefix must have been used again.
pub const MIN_HITS: u32 = 2;
/// Bytes per second of a disk that was not measured yet: a slow SD card.
pub const SLOW_DISK: f64 = 20e6;
/// Seconds after which a use counts half.
const HALF_LIFE: f64 = 7.0 * 86_400.0;

/// What was measured here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Tokens of a prompt computed in a second.
    pub prefill: f64,
    /// Bytes of a state read and checked in a second; `None` if none was read yet.
    pub disk: Option<f64>,
    /// Bytes of keys and values of a token.
    pub bytes_per_token: u64,
}

/// Whether to save a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is worth it.
    Save,
    /// It has fewer than [`MIN_TOKENS`].
    Short,
    /// It was used again fewer than [`MIN_HITS`] times.
    Unused,
    /// Reading it takes longer than computing it.
    Slower,
}

impl Rates {
    /// Seconds to compute tokens.
    pub fn compute_seconds(&self, tokens: usize) -> f64 {
        tokens as f64 / self.prefill
    }

    /// Seconds to read the state of tokens.
    pub fn read_seconds(&self, tokens: usize) -> f64 {
        tokens as f64 * self.bytes_per_token as f64 / self.disk.unwrap_or(SLOW_DISK)
    }

    /// Whether reading is faster. Rates that are not numbers above zero make nothing faster.
    fn reading_is_faster(&self, read: usize, computed: usize) -> bool {
        let known = |rate: f64| rate.is_finite() && rate > 0.0;
        known(self.prefill)
            && self.disk.is_none_or(known)
            && self.read_seconds(read) < self.compute_seconds(computed)
    }
}

/// Whether a prefix of so many tokens, used again so often, is worth a file.
pub fn worth_saving(tokens: usize, hits: u32, rates: &Rates) -> Verdict {
    match () {
        () if tokens < MIN_TOKENS => Verdict::Short,
        () if hits < MIN_HITS => Verdict::Unused,
        () if !rates.reading_is_faster(tokens, tokens) => Verdict::Slower,
        () => Verdict::Save,
    }
}

/// Whether to read a state of `stored` tokens, of which a prompt begins with `usable`, if memory has `resident` of them.
pub fn worth_loading(usable: usize, stored: usize, resident: usize, rates: &Rates) -> bool {
    usable > resident && rates.reading_is_faster(stored, usable - resident)
}

/// What an entry is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// Bytes on disk.
    pub bytes: u64,
    /// Seconds that a use saves.
    pub seconds: f64,
    /// Uses.
    pub hits: u32,
    /// When it was last used, in Unix seconds.
    pub used: u64,
}

impl Worth {
    /// Seconds saved by a byte. A use a week ago counts half.
    fn score(&self, now: u64) -> f64 {
        let age = now.saturating_sub(self.used) as f64 / HALF_LIFE;
        let seconds = if self.seconds.is_finite() {
            self.seconds.max(0.0)
        } else {
            0.0
        };
        seconds * (f64::from(self.hits) + 1.0) * (-age).exp2() / self.bytes.max(1) as f64
    }
}

/// Which entries make room for `new` within `cap` bytes: those that are worth the least. `None` if it does not fit, or
/// only in the place of something that is worth more.
pub(super) fn victims(entries: &[Worth], new: &Worth, cap: u64, now: u64) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..entries.len()).collect();
    order.sort_by(|a, b| entries[*a].score(now).total_cmp(&entries[*b].score(now)));
    let mut total = entries
        .iter()
        .fold(new.bytes, |sum, entry| sum.saturating_add(entry.bytes));
    let mut out = Vec::new();
    for index in order {
        if total <= cap {
            break;
        }
        if entries[index].score(now) > new.score(now) {
            return None;
        }
        total -= entries[index].bytes;
        out.push(index);
    }
    (total <= cap).then_some(out)
}

/// Which entries to remove so that the others have at most `cap` bytes.
pub(super) fn surplus(entries: &[Worth], cap: u64, now: u64) -> Vec<usize> {
    let nothing = Worth {
        bytes: 0,
        seconds: f64::MAX,
        hits: u32::MAX,
        used: now,
    };
    victims(entries, &nothing, cap, now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// TinyLlama on a small board.
    const BOARD: Rates = Rates {
        prefill: 40.0,
        disk: Some(80e6),
        bytes_per_token: 22 * 1024,
    };

    #[test]
    fn a_prefix_is_saved_if_it_is_long_used_and_faster_to_read() {
        let with = |prefill, disk, bytes_per_token| Rates {
            prefill,
            disk,
            bytes_per_token,
        };
        let table = [
            (255, 9, BOARD, Verdict::Short),
            (256, 1, BOARD, Verdict::Unused),
            (256, 2, BOARD, Verdict::Save),
            (0, 2, BOARD, Verdict::Short),
            (usize::MAX, u32::MAX, BOARD, Verdict::Save),
            // 192 KiB a token: 400 tokens are read in a second from a fast card, 100 from a slow one.
            (2048, 2, with(165.0, Some(80e6), 192 * 1024), Verdict::Save),
            (2048, 2, with(165.0, Some(20e6), 192 * 1024), Verdict::Slower),
            (2048, 2, with(165.0, None, 192 * 1024), Verdict::Slower),
            (2048, 2, with(165.0, None, 22 * 1024), Verdict::Save),
            (2048, 2, with(0.0, Some(80e6), 1), Verdict::Slower),
            (2048, 2, with(f64::NAN, Some(80e6), 1), Verdict::Slower),
            (2048, 2, with(f64::INFINITY, Some(80e6), 1), Verdict::Slower),
            (2048, 2, with(40.0, Some(0.0), 1), Verdict::Slower),
            (2048, 2, with(40.0, Some(f64::NAN), 1), Verdict::Slower),
            (2048, 2, with(-1.0, Some(-1.0), 1), Verdict::Slower),
        ];
        for (tokens, hits, rates, want) in table {
            assert_eq!(
                worth_saving(tokens, hits, &rates),
                want,
                "{tokens} {hits} {rates:?}"
            );
        }
    }

    #[test]
    fn a_state_is_read_if_what_it_saves_takes_longer() {
        // In a second 3,551 tokens are read and 40 computed.
        let table = [
            (2000, 2000, 0, true),
            (2000, 2000, 2000, false),
            (2000, 2000, 1990, false),
            (2000, 2000, 1900, true),
            (10, 2000, 0, false),
            (40, 2000, 0, true),
            (0, 2000, 0, false),
            (0, 0, 5, false),
        ];
        for (usable, stored, resident, want) in table {
            assert_eq!(
                worth_loading(usable, stored, resident, &BOARD),
                want,
                "{usable} {stored} {resident}"
            );
        }
    }

    #[test]
    fn the_least_worth_goes_first_and_nothing_goes_for_less() {
        let day = 86_400;
        let now = 100 * day;
        let entry = |mib: u64, seconds, hits, age| Worth {
            bytes: mib << 20,
            seconds,
            hits,
            used: now - age * day,
        };
        let entries = [
            entry(100, 50.0, 9, 0),
            entry(100, 50.0, 1, 0),
            entry(100, 50.0, 9, 30),
            entry(200, 50.0, 9, 0),
        ];
        let mib = |n: u64| n << 20;
        let table: [(Worth, u64, Option<&[usize]>); 8] = [
            (entry(10, 50.0, 2, 0), mib(512), Some(&[])),
            (entry(100, 50.0, 2, 0), mib(600), Some(&[])),
            (entry(100, 50.0, 2, 0), mib(512), Some(&[2])),
            (entry(100, 50.0, 2, 0), mib(400), Some(&[2, 1])),
            // The rest is worth more than it.
            (entry(100, 50.0, 2, 0), mib(300), None),
            (entry(100, 1.0, 2, 0), mib(512), None),
            (entry(100, f64::NAN, 2, 0), mib(512), None),
            (entry(600, 1e9, 99, 0), mib(512), None),
        ];
        for (new, cap, want) in table {
            assert_eq!(
                victims(&entries, &new, cap, now).as_deref(),
                want,
                "{new:?} {cap}"
            );
        }
        for (cap, want) in [
            (mib(500), &[][..]),
            (mib(499), &[2]),
            (mib(301), &[2, 1]),
            (0, &[2, 1, 3, 0]),
        ] {
            assert_eq!(surplus(&entries, cap, now), want, "{cap}");
        }
        // A clock that was ahead.
        let ahead = Worth {
            used: now + day,
            ..entries[0]
        };
        assert_eq!(victims(&[ahead], &entry(100, 50.0, 1, 0), mib(100), now), None);
    }
}
