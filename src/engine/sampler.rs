//! How the next token is drawn.

use llama_cpp_2::sampling::LlamaSampler;

use super::{EngineError, Model};

/// Sampling settings, with llama.cpp's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct SamplerConfig {
    /// Softmax temperature; 0 takes the most likely token always (greedy).
    pub temp: f32,
    /// Only the `top_k` most likely tokens; 0 for all.
    pub top_k: i32,
    /// Only the most likely tokens that together have this probability; 1 for all.
    pub top_p: f32,
    /// Only tokens at least this likely relative to the most likely; 0 for all.
    pub min_p: f32,
    /// Logits of recent tokens are divided by this; 1 for no penalty.
    pub repeat_penalty: f32,
    /// How many recent tokens are penalised.
    pub repeat_last_n: i32,
    /// Seed of the random numbers; where `None`, another each time.
    pub seed: Option<u32>,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        SamplerConfig {
            temp: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            seed: None,
        }
    }
}

impl SamplerConfig {
    /// Refuses settings that mean nothing.
    pub fn check(&self) -> Result<(), EngineError> {
        let rules: [(&'static str, f32, bool, &'static str); 4] = [
            ("temp", self.temp, self.temp >= 0.0, "0 or more"),
            (
                "top-p",
                self.top_p,
                (0.0..=1.0).contains(&self.top_p),
                "from 0 to 1",
            ),
            (
                "min-p",
                self.min_p,
                (0.0..=1.0).contains(&self.min_p),
                "from 0 to 1",
            ),
            (
                "repeat-penalty",
                self.repeat_penalty,
                self.repeat_penalty > 0.0,
                "more than 0",
            ),
        ];
        match rules
            .into_iter()
            .find(|(_, value, fine, _)| !fine || !value.is_finite())
        {
            Some((name, value, _, allowed)) => Err(EngineError::Setting { name, value, allowed }),
            None => Ok(()),
        }
    }

    /// The chain in llama.cpp's order: penalties, top-k, top-p, min-p, temperature, draw.
    pub(super) fn build(&self, model: &Model) -> Result<LlamaSampler, EngineError> {
        self.check()?;
        let mut chain = Vec::new();
        if self.repeat_penalty != 1.0 {
            let (vocabulary, last) = (model.inner.n_vocab(), self.repeat_last_n.max(0));
            chain.push(LlamaSampler::penalties(
                vocabulary,
                last,
                self.repeat_penalty,
                0.0,
                0.0,
            ));
        }
        if self.temp == 0.0 {
            chain.push(LlamaSampler::greedy());
            return Ok(LlamaSampler::chain_simple(chain));
        }
        let seed = self.seed.unwrap_or_else(random_seed);
        chain.extend([
            LlamaSampler::top_k(self.top_k),
            LlamaSampler::top_p(self.top_p, 1),
            LlamaSampler::min_p(self.min_p, 1),
            LlamaSampler::temp(self.temp),
            LlamaSampler::dist(seed),
        ]);
        Ok(LlamaSampler::chain_simple(chain))
    }
}

/// A seed from the random state that the standard library takes from the system.
fn random_seed() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        let good = SamplerConfig::default();
        assert!(good.check().is_ok());
        let cases = [
            (
                SamplerConfig { temp: -1.0, ..good },
                "temp is -1; it must be 0 or more",
            ),
            (
                SamplerConfig {
                    temp: f32::NAN,
                    ..good
                },
                "temp is NaN",
            ),
            (SamplerConfig { top_p: 1.5, ..good }, "top-p is 1.5"),
            (SamplerConfig { min_p: -0.1, ..good }, "min-p is -0.1"),
            (
                SamplerConfig {
                    repeat_penalty: 0.0,
                    ..good
                },
                "repeat-penalty is 0",
            ),
            (
                SamplerConfig {
                    repeat_penalty: f32::INFINITY,
                    ..good
                },
                "repeat-penalty is inf",
            ),
        ];
        for (config, want) in cases {
            let error = config.check().expect_err(want).to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
