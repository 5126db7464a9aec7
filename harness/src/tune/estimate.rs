//! How long tuning takes: one turn with the settings that it starts with is timed, the others follow from their lengths.

use siskin_device::settings::Values;

/// What one process computes, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    /// Tokens computed together: warm-up, what fills the context, the prompt.
    pub(super) prompt: u32,
    /// Tokens decoded one by one.
    pub(super) decode: u32,
}

/// What the timed turn gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Probe {
    /// Seconds of the whole process.
    pub(super) seconds: f64,
    /// What it computed.
    pub(super) work: Work,
    /// Tokens a second of the prompt.
    pub(super) prefill: f64,
    /// Tokens a second of decoding.
    pub(super) decode: f64,
    /// Its threads, for decoding and for the prompt.
    pub(super) threads: (usize, usize),
}

impl Probe {
    /// Seconds that a process with these settings takes.
    pub(super) fn seconds(&self, work: Work, values: &Values) -> f64 {
        let computing = |work: Work| {
            [
                f64::from(work.prompt) / self.prefill,
                f64::from(work.decode) / self.decode,
            ]
        };
        // Starting a process and loading the model.
        let start = (self.seconds - computing(self.work).iter().sum::<f64>()).max(0.0);
        // Fewer threads take longer; more than tuning starts with help little.
        let slower = |usual: usize, threads: usize| (usual as f64 / threads.max(1) as f64).max(1.0);
        let [prompt, decode] = computing(work);
        start
            + prompt * slower(self.threads.1, values.threads_batch)
            + decode * slower(self.threads.0, values.threads)
    }
}

/// Seconds as people say them: `about 40 seconds`, `about 4 minutes`, `about 2 hours`.
pub(crate) fn about(seconds: f64) -> String {
    let (count, unit) = match seconds {
        ..10.0 => return "a few seconds".into(),
        ..90.0 => ((seconds / 10.0).round() * 10.0, "seconds"),
        ..5400.0 => ((seconds / 60.0).round(), "minutes"),
        _ => ((seconds / 3600.0).round(), "hours"),
    };
    format!("about {count:.0} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_follows_from_lengths_and_threads() {
        let work = |prompt, decode| Work { prompt, decode };
        // A second to start, 10 for the prompt, 5 to decode.
        let probe = Probe {
            seconds: 16.0,
            work: work(100, 10),
            prefill: 10.0,
            decode: 2.0,
            threads: (4, 4),
        };
        let values = |threads, threads_batch| Values {
            threads,
            threads_batch,
            ..Values::default()
        };
        let cases = [
            (work(100, 10), values(4, 4), 16.0),
            (work(200, 10), values(4, 4), 26.0),
            (work(100, 10), values(1, 4), 31.0),
            (work(100, 10), values(4, 2), 26.0),
            (work(100, 10), values(8, 8), 16.0),
        ];
        for (work, values, want) in cases {
            assert!((probe.seconds(work, &values) - want).abs() < 1e-9, "{work:?}");
        }
    }

    #[test]
    fn times_as_people_say_them() {
        let cases = [
            (3.0, "a few seconds"),
            (41.0, "about 40 seconds"),
            (91.0, "about 2 minutes"),
            (235.0, "about 4 minutes"),
            (7000.0, "about 2 hours"),
        ];
        for (seconds, want) in cases {
            assert_eq!(about(seconds), want);
        }
    }
}
