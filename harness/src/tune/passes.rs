//! What passes over several tokens cost with the settings found: nothing is chosen by it, speculative decoding reads it.

use siskin_device::settings::Values;
use siskin_device::tuned::PassCost;

use super::{Effort, Tuner, Work, left_out};
use crate::BenchError;
use crate::event::Event;
use crate::plan::{self, Tests};
use crate::protocol::Turn;
use crate::stats::paired_ratio;
use crate::turns::Workers;
use crate::worker::PASSES;

/// The most tokens of a pass.
const MOST: u32 = 8;

impl Effort {
    /// Depths at which passes are measured, of those that a model's training context has room for. To fill a context
    /// takes longer than the passes, so only a thorough measurement has the deep ones.
    pub(super) fn pass_depths(self, training_context: u32) -> Vec<u32> {
        const DEPTHS: [(u32, Effort); 3] = [(0, Effort::QUICK), (512, Effort::USUAL), (2048, Effort::FULL)];
        let depths = DEPTHS.iter().filter(|(depth, effort)| {
            self.rounds >= effort.rounds && depth.saturating_add(MOST) <= training_context
        });
        depths.map(|depth| depth.0).collect()
    }
}

/// What one process computes for its passes at a depth.
pub(super) fn work(depth: u32, rounds: usize) -> Work {
    let passes = u32::try_from(rounds * (PASSES + 1)).unwrap_or(u32::MAX);
    Work {
        // A pass takes about the time of decoding one token and of a prompt of the others.
        prompt: depth.saturating_add(passes.saturating_mul((1..MOST).sum())),
        decode: passes.saturating_mul(MOST),
    }
}

impl Tuner<'_> {
    pub(super) fn pass_depths(&self) -> Vec<u32> {
        let training = self.request.info.shape.training_context;
        self.request.effort.pass_depths(training)
    }

    /// Measures T(n) of the settings to keep. Depths that cannot be measured are left out.
    pub(super) fn passes(&mut self, values: Values) -> Result<Vec<PassCost>, BenchError> {
        let mut costs = Vec::new();
        for depth in self.pass_depths() {
            match self.passes_at(depth, values) {
                Ok(turns) => costs.extend(relative(depth, &turns)),
                Err(error) => {
                    let Some(reason) = left_out(&error) else {
                        return Err(error);
                    };
                    (self.on_event)(Event::LeftOut {
                        setting: "passes at depth",
                        value: &depth.to_string(),
                        reason: &reason,
                    });
                }
            }
        }
        Ok(costs)
    }

    /// One process takes all rounds: there is no other to take turns with.
    fn passes_at(&mut self, depth: u32, values: Values) -> Result<Vec<Turn>, BenchError> {
        let rounds = self.request.effort.rounds;
        let tests = Tests {
            verifies: (1..=MOST).collect(),
            depths: vec![depth],
            rounds,
            ..Tests::default()
        };
        let subject = self.subject(&[(String::new(), values)]);
        let cases = plan::cases(std::slice::from_ref(&subject), &tests)?;
        let workers = Workers {
            harness: self.harness,
            subjects: std::slice::from_ref(&subject),
        };
        let what = format!("passes at depth {depth}");
        self.step(&what);
        workers.check_interrupted()?;
        let (mut worker, _) = workers.start(&cases[0], 1)?;
        let mut turns = Vec::with_capacity(rounds);
        for round in 0..rounds {
            if round > 0 {
                self.step(&what);
            }
            workers.check_interrupted()?;
            match workers.turn(&mut worker, &cases[0])? {
                (_, Some(heat)) if heat.throttled == Some(true) => (self.on_event)(Event::Throttled {
                    setting: "passes at depth",
                    value: &depth.to_string(),
                }),
                (turn, _) => turns.push(turn),
            }
        }
        Ok(turns)
    }
}

/// T(n) of the turns: the median of the rounds' ratios.
fn relative(depth: u32, turns: &[Turn]) -> Vec<PassCost> {
    let of = |tokens: u32| -> Option<Vec<f64>> {
        let seconds = |turn: &Turn| Some(turn.samples.get(tokens as usize - 1)?.seconds);
        turns.iter().map(seconds).collect()
    };
    let cost = |tokens: u32| {
        let ratio = paired_ratio(&of(tokens)?, &of(1)?)?;
        Some(PassCost {
            depth,
            tokens,
            relative_time: ratio.ratio,
        })
    };
    (1..=MOST).filter_map(cost).collect()
}

/// T(n) in one line for each depth.
pub(super) fn lines(costs: &[PassCost]) -> Vec<String> {
    let mut depths: Vec<u32> = costs.iter().map(|cost| cost.depth).collect();
    depths.dedup();
    let line = |depth: u32| {
        let here = costs.iter().filter(|cost| cost.depth == depth && cost.tokens > 1);
        let all: Vec<String> = here
            .map(|cost| format!("{}: {:.2}", cost.tokens, cost.relative_time))
            .collect();
        format!(
            "time of n tokens together, relative to one, at depth {depth}: {}",
            all.join(", ")
        )
    };
    depths.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Sample;

    #[test]
    fn depths_follow_effort_and_training() {
        let cases = [
            (Effort::QUICK, 4096, vec![0]),
            (Effort::USUAL, 4096, vec![0, 512]),
            (Effort::FULL, 4096, vec![0, 512, 2048]),
            (Effort::FULL, 2055, vec![0, 512]),
            (Effort::FULL, 7, vec![]),
        ];
        for (effort, training, want) in cases {
            assert_eq!(effort.pass_depths(training), want, "{effort:?} {training}");
        }
    }

    #[test]
    fn ratios_are_of_the_same_rounds() {
        let turn = |one: f64| Turn {
            samples: (1..=8)
                .map(|tokens| Sample {
                    seconds: one * f64::from(tokens),
                    ..Sample::default()
                })
                .collect(),
            peak_rss_bytes: None,
            anonymous_bytes: None,
            file_bytes: None,
            energy_source: None,
        };
        let costs = relative(512, &[turn(1.0), turn(2.0), turn(1.5)]);
        let want = (1..=8).map(|tokens| PassCost {
            depth: 512,
            tokens,
            relative_time: f64::from(tokens),
        });
        assert_eq!(costs, want.collect::<Vec<_>>());
        assert_eq!(
            lines(&costs[..3]),
            ["time of n tokens together, relative to one, at depth 512: 2: 2.00, 3: 3.00"]
        );
        assert_eq!(relative(0, &[]), vec![]);
    }
}
