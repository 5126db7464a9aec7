//! The flags of sampling and of a text's end, shared by the commands that make text.

use super::number;
use anyhow::bail;
use siskin::{SamplerConfig, Sampling};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    /// Maximum number of tokens to generate; -1 for no limit
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = -1,
        allow_negative_numbers = true, value_parser = number::whole::<i64>)]
    n_predict: i64,
    /// Temperature; 0 always picks the most likely token
    #[arg(long, value_name = "T", default_value_t = SamplerConfig::default().temp, allow_negative_numbers = true, value_parser = number::decimal)]
    temp: f32,
    /// Sample from the K most likely tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = SamplerConfig::default().top_k, value_parser = number::whole::<i32>)]
    top_k: i32,
    /// Sample from the most likely tokens whose probabilities add up to P; 1 for all
    #[arg(long, value_name = "P", default_value_t = SamplerConfig::default().top_p, value_parser = number::decimal)]
    top_p: f32,
    /// Sample from tokens that have at least P times the probability of the most likely; 0 for all
    #[arg(long, value_name = "P", default_value_t = SamplerConfig::default().min_p, value_parser = number::decimal)]
    min_p: f32,
    /// Make the last 64 tokens less likely by this factor; 1 for no change
    #[arg(long, value_name = "X", default_value_t = SamplerConfig::default().repeat_penalty, value_parser = number::decimal)]
    repeat_penalty: f32,
    /// Random seed [default: random]
    #[arg(short, long, value_name = "N", value_parser = number::whole::<u32>)]
    seed: Option<u32>,
    /// Stop when this text appears; it is not printed (may be given several times)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

impl SamplingArgs {
    /// What was typed, checked.
    pub(crate) fn sampling(&self) -> anyhow::Result<Sampling> {
        let config = SamplerConfig {
            temp: self.temp,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            seed: self.seed,
            ..SamplerConfig::default()
        };
        config.check()?;
        if self.n_predict < -1 {
            bail!(
                "-n is {}; give -1 for no limit, or a number of tokens",
                self.n_predict
            );
        }
        Ok(Sampling {
            config,
            max_tokens: usize::try_from(self.n_predict).ok(),
            stop: self.stop.clone(),
        })
    }
}
