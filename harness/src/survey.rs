//! Surveys a machine in a few minutes: what its owner can attach to an issue. It is what `harness::run` measures of each
//! model, and decoding without a pause. The results have plain facts about the machine, and nothing that names a person,
//! a host or a folder.

mod hardware;
mod sustained;

use std::time::Duration;

use crate::BenchError;
use crate::event::{Event, Harness};
use crate::harness::{self, nothing_measured};
use crate::model_info::ModelInfo;
use crate::plan::{Subject, Tests};
use crate::result::{Hardware, Results};

pub use hardware::describe;

/// What is to be surveyed.
#[derive(Debug)]
pub struct Request {
    /// The models, each with what is measured of it. The largest decodes without a pause.
    pub subjects: Vec<(Subject, Tests)>,
    /// The machine.
    pub hardware: Hardware,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// How long one model decodes without a pause.
    pub sustained: Duration,
    /// The command for the results, without folders.
    pub command: String,
    /// When it began, RFC 3339.
    pub date_utc: String,
    /// Memory that is free, if the system reports it.
    pub available_bytes: Option<u64>,
}

/// How thoroughly to survey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    rounds: usize,
    prompt: u32,
    decode: u32,
    depths: &'static [u32],
    verifies: &'static [u32],
    parallels: &'static [u32],
    /// Seconds for which a model decodes without a pause.
    pub sustained_seconds: u64,
}

impl Effort {
    /// Less than a minute for a model of a billion parameters on a small board.
    pub const QUICK: Effort = Effort {
        rounds: 3,
        prompt: 64,
        decode: 16,
        depths: &[0],
        verifies: &[2, 4, 8],
        parallels: &[],
        sustained_seconds: 10,
    };
    /// A few minutes.
    pub const USUAL: Effort = Effort {
        rounds: 5,
        prompt: 256,
        decode: 32,
        depths: &[0, 512],
        verifies: &[2, 3, 4, 5, 6, 7, 8],
        parallels: &[2, 4, 8],
        sustained_seconds: 60,
    };

    /// What is measured of a model, within its training context. `modest` leaves out what takes memory: depth, and
    /// several sequences.
    pub fn tests(self, info: &ModelInfo, modest: bool) -> Tests {
        let training = info.shape.training_context.max(1);
        let most = |tokens: u32| tokens.min(training);
        let room = self.prompt.max(self.decode);
        let fits = |depth: &&u32| **depth == 0 || !modest && depth.saturating_add(room) <= training;
        let passes = |list: &[u32]| {
            list.iter()
                .copied()
                .filter(|tokens| *tokens <= training)
                .collect()
        };
        Tests {
            prompts: vec![most(self.prompt)],
            decodes: vec![most(self.decode)],
            verifies: passes(self.verifies),
            parallels: if modest { vec![] } else { passes(self.parallels) },
            depths: self.depths.iter().filter(fits).copied().collect(),
            context: None,
            rounds: self.rounds,
        }
    }
}

/// Surveys this machine.
///
/// # Errors
/// A model cannot be run, a worker fails, or the user asks to stop.
pub fn run(
    request: &Request,
    workers: &Harness<'_>,
    mut on_event: impl FnMut(Event<'_>),
) -> Result<Results, BenchError> {
    let mut all = Results {
        hardware: Some(request.hardware.clone()),
        ..nothing_measured(&request.command, &request.date_utc)
    };
    for (subject, tests) in &request.subjects {
        let one = harness::Request {
            subjects: vec![subject.clone()],
            tests: tests.clone(),
            cold: false,
            llama_bench: None,
            command: request.command.clone(),
            date_utc: request.date_utc.clone(),
            available_bytes: request.available_bytes,
            // They are those of the machine, and measured with the first model.
            bandwidth_threads: match all.read_bandwidths.is_empty() {
                true => counts(request.cpus),
                false => vec![],
            },
            names_programs: false,
        };
        add(&mut all, harness::run(&one, workers, &mut on_event)?);
    }
    let largest = request
        .subjects
        .iter()
        .max_by_key(|(subject, _)| subject.info.model.file_bytes);
    if let Some((subject, _)) = largest {
        let decoded = sustained::decode(subject, request.sustained, workers, &mut on_event)?;
        all.sustained.push(decoded);
    }
    Ok(all)
}

/// Adds the results of another model of the same machine.
fn add(all: &mut Results, one: Results) {
    all.rounds = all.rounds.max(one.rounds);
    all.runs.extend(one.runs);
    all.loads.extend(one.loads);
    for bandwidth in one.read_bandwidths {
        if all
            .read_bandwidths
            .iter()
            .all(|known| known.threads != bandwidth.threads)
        {
            all.read_bandwidths.push(bandwidth);
        }
    }
    all.read_bandwidths.sort_by_key(|bandwidth| bandwidth.threads);
    for note in one.notes {
        if !all.notes.contains(&note) {
            all.notes.push(note);
        }
    }
}

/// Thread counts whose bandwidth is measured: powers of two, and all CPUs.
fn counts(cpus: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |count| count.checked_mul(2));
    powers
        .take_while(|count| *count < cpus)
        .chain([cpus.max(1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::subject;

    #[test]
    fn tests_fit_the_model() {
        let mut info = subject("a", 1, &[1]).info;
        info.shape.training_context = 4096;
        let usual = Effort::USUAL.tests(&info, false);
        assert_eq!((&usual.depths[..], usual.parallels.len()), (&[0, 512][..], 3));
        let modest = Effort::USUAL.tests(&info, true);
        assert_eq!((&modest.depths[..], modest.parallels.len()), (&[0][..], 0));
        info.shape.training_context = 64;
        let short = Effort::USUAL.tests(&info, false);
        assert_eq!((&short.prompts[..], &short.depths[..]), (&[64][..], &[0][..]));
        assert!(crate::longest_context(&info, &short).is_ok());
    }

    #[test]
    fn bandwidth_is_measured_up_to_all_cpus() {
        let cases = [
            (0, vec![1]),
            (1, vec![1]),
            (4, vec![1, 2, 4]),
            (6, vec![1, 2, 4, 6]),
        ];
        for (cpus, want) in cases {
            assert_eq!(counts(cpus), want, "{cpus}");
        }
    }
}
