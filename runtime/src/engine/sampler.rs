//! Chooses the next token.

use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use super::Token;
use crate::Error;

/// Sampling settings, with llama.cpp's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct SamplerConfig {
    /// Softmax temperature; 0 always takes the most likely token (greedy).
    pub temp: f32,
    /// Keep only the `top_k` most likely tokens; 0 for all.
    pub top_k: i32,
    /// Keep only the most likely tokens that together have this probability; 1 for all.
    pub top_p: f32,
    /// Keep only tokens at least this likely relative to the most likely one; 0 for all.
    pub min_p: f32,
    /// Divides the positive logits of recent tokens and multiplies the negative ones; 1 for no penalty.
    pub repeat_penalty: f32,
    /// Taken from the logits of recent tokens, once for each time they occur; 0 for no penalty.
    pub frequency_penalty: f32,
    /// Taken from the logits of recent tokens once; 0 for no penalty.
    pub presence_penalty: f32,
    /// The number of recent tokens that are penalised, those of the prompt and of earlier turns too; 0 for none, -1 for
    /// all of the context.
    pub repeat_last_n: i32,
    /// Seed of the random numbers; `None` for a new seed each time, see [`SamplerConfig::with_seed`].
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
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repeat_last_n: 64,
            seed: None,
        }
    }
}

impl SamplerConfig {
    /// Checks that every setting is in its range.
    ///
    /// # Errors
    /// If a setting is out of its range or not finite.
    pub fn check(&self) -> Result<(), Error> {
        let rules: [(&'static str, f32, bool, &'static str); 7] = [
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
            (
                "frequency-penalty",
                self.frequency_penalty,
                true,
                "a finite number",
            ),
            ("presence-penalty", self.presence_penalty, true, "a finite number"),
            (
                "repeat-last-n",
                self.repeat_last_n as f32,
                self.repeat_last_n >= -1,
                "-1 or more",
            ),
        ];
        match rules
            .into_iter()
            .find(|(_, value, fine, _)| !fine || !value.is_finite())
        {
            Some((name, value, _, allowed)) => Err(Error::Parameter { name, value, allowed }),
            None => Ok(()),
        }
    }

    /// The same settings with a seed: one is drawn if there is none, so that a program can print it.
    pub fn with_seed(self) -> Self {
        SamplerConfig {
            seed: Some(self.seed.unwrap_or_else(random_seed)),
            ..self
        }
    }

    /// Whether some tokens are made less likely because they came before.
    fn penalizes(&self) -> bool {
        let changes =
            self.repeat_penalty != 1.0 || self.frequency_penalty != 0.0 || self.presence_penalty != 0.0;
        changes && self.repeat_last_n != 0
    }

    /// The chain in llama.cpp's order: penalties, top-k, top-p, min-p, temperature, draw. `vocabulary` is the number of
    /// its tokens, `context` that of the context's.
    ///
    /// # Errors
    /// A setting is out of its range.
    pub fn build(&self, vocabulary: usize, context: u32) -> Result<Sampler, Error> {
        self.check()?;
        if self.temp == 0.0 && !self.penalizes() {
            return Ok(Sampler(Kind::Greedy));
        }
        let mut chain = Vec::new();
        let mut window = 0;
        if self.penalizes() {
            // No text is longer than its context, so no longer window is of use.
            window = u32::try_from(self.repeat_last_n).map_or(context, |count| count.min(context));
            chain.push(LlamaSampler::penalties(
                i32::try_from(vocabulary).unwrap_or(i32::MAX),
                i32::try_from(window).unwrap_or(i32::MAX),
                self.repeat_penalty,
                self.frequency_penalty,
                self.presence_penalty,
            ));
        }
        if self.temp == 0.0 {
            chain.push(LlamaSampler::greedy());
        } else {
            let seed = self.seed.unwrap_or_else(random_seed);
            chain.extend([
                LlamaSampler::top_k(self.top_k),
                LlamaSampler::top_p(self.top_p, 1),
                LlamaSampler::min_p(self.min_p, 1),
                LlamaSampler::temp(self.temp),
                LlamaSampler::dist(seed),
            ]);
        }
        Ok(Sampler(Kind::Chain {
            chain: LlamaSampler::chain_simple(chain),
            candidates: LlamaTokenDataArray::new(Vec::with_capacity(vocabulary), false),
            window: window as usize,
        }))
    }
}

/// Chooses tokens from rows of logits.
#[derive(Debug)]
pub struct Sampler(Kind);

#[derive(Debug)]
enum Kind {
    /// The most likely token, read off the logits: llama.cpp would list every token with its probability first, 1.5 MB
    /// of Llama-3.2's.
    Greedy,
    /// llama.cpp's samplers, one after another.
    Chain {
        chain: LlamaSampler,
        /// Room for every token with its probability, kept from token to token.
        candidates: LlamaTokenDataArray,
        /// Recent tokens that are penalised.
        window: usize,
    },
}

impl Sampler {
    /// Has the penalties see what came before: the end of `tokens`.
    pub fn see(&mut self, tokens: &[Token]) {
        if let Kind::Chain { chain, window, .. } = &mut self.0 {
            let first = tokens.len().saturating_sub(*window);
            for token in &tokens[first..] {
                chain.accept(LlamaToken(token.0));
            }
        }
    }

    /// A token after `logits`. Unless it is [accepted](Sampler::accept), the penalties do not see it, and another may be
    /// chosen.
    pub fn choose(&mut self, logits: &[f32]) -> Token {
        let Kind::Chain {
            chain, candidates, ..
        } = &mut self.0
        else {
            return argmax(logits);
        };
        candidates.data.clear();
        let all = (0..).zip(logits);
        candidates
            .data
            .extend(all.map(|(id, &logit)| LlamaTokenData::new(LlamaToken(id), logit, 0.0)));
        (candidates.selected, candidates.sorted) = (None, false);
        chain.apply(candidates);
        candidates
            .selected_token()
            .map_or_else(|| argmax(logits), |token| Token(token.0))
    }

    /// The token that follows; the penalties remember it.
    pub fn accept(&mut self, token: Token) {
        if let Kind::Chain { chain, .. } = &mut self.0 {
            chain.accept(LlamaToken(token.0));
        }
    }

    /// The next token after `logits`; the penalties remember it.
    pub(crate) fn draw(&mut self, logits: &[f32]) -> Token {
        let token = self.choose(logits);
        self.accept(token);
        token
    }
}

/// Refuses a row of logits that are not all numbers, after so many tokens.
///
/// # Errors
/// One is not: the model is damaged.
pub fn check_logits(logits: &[f32], tokens: usize) -> Result<(), Error> {
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotANumber {
            position: u32::try_from(tokens).unwrap_or(u32::MAX),
        }),
    }
}

/// The most likely token; the first of equals.
pub fn argmax(logits: &[f32]) -> Token {
    let ids = (0..).zip(logits);
    let best = ids.reduce(|best, next| if next.1 > best.1 { next } else { best });
    Token(best.map_or(0, |(id, _)| id))
}

/// A seed from the random state that the standard library takes from the system.
fn random_seed() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    // llama.cpp takes the largest number for "any seed": with it, no text could be had again.
    (RandomState::new().hash_one(std::process::id()) as u32).min(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_argmax() {
        for (logits, want) in [
            (&[][..], 0),
            (&[-1.0], 0),
            (&[-3.0, 2.0, 2.0, 1.0], 1),
            (&[0.0, -0.0, 0.5], 2),
        ] {
            assert_eq!(argmax(logits), Token(want), "{logits:?}");
        }
    }

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
            (
                SamplerConfig {
                    presence_penalty: f32::NAN,
                    ..good
                },
                "presence-penalty is NaN",
            ),
            (
                SamplerConfig {
                    repeat_last_n: -2,
                    ..good
                },
                "repeat-last-n is -2",
            ),
        ];
        for (config, want) in cases {
            let error = config.check().expect_err(want).to_string();
            assert!(error.starts_with(want), "{error}");
        }
    }

    #[test]
    fn penalties_see_the_prompt() {
        let logits = [1.0, 0.9, 0.8, -9.0];
        /// Repeat, frequency, presence, last-n, tokens before, the greedy choice.
        type Case = (f32, f32, f32, i32, &'static [i32], i32);
        let cases: [Case; 10] = [
            (1.0, 0.0, 0.0, 64, &[0], 0),
            (1.5, 0.0, 0.0, 64, &[0], 1),
            (1.5, 0.0, 0.0, 64, &[0, 1], 2),
            (1.5, 0.0, 0.0, 64, &[], 0),
            (1.5, 0.0, 0.0, 0, &[0], 0),
            (1.5, 0.0, 0.0, 1, &[0, 3], 0),
            (1.5, 0.0, 0.0, 2, &[0, 3], 1),
            (1.5, 0.0, 0.0, -1, &[0, 3, 3, 3], 1),
            (1.0, 0.06, 0.0, 64, &[0, 0], 1),
            (1.0, 0.0, 0.11, 64, &[0, 0], 1),
        ];
        for (repeat_penalty, frequency_penalty, presence_penalty, repeat_last_n, before, want) in cases {
            let config = SamplerConfig {
                temp: 0.0,
                repeat_penalty,
                frequency_penalty,
                presence_penalty,
                repeat_last_n,
                ..SamplerConfig::default()
            };
            let mut sampler = config.build(logits.len(), 16).expect("in range");
            let before: Vec<Token> = before.iter().map(|&id| Token(id)).collect();
            sampler.see(&before);
            assert_eq!(sampler.draw(&logits), Token(want), "{config:?} {before:?}");
        }
    }

    #[test]
    fn a_seed_that_was_drawn_stays() {
        let config = SamplerConfig::default().with_seed();
        assert!(config.seed.is_some_and(|seed| seed < u32::MAX));
        assert_eq!(config.with_seed(), config);
    }
}
