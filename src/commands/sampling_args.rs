//! The flags of sampling and of a text's end, shared by the commands that make text.

use super::number;
use siskin::{SamplerConfig, Sampling};

/// What was typed.
#[derive(Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    /// Maximum number of tokens to generate; -1 for no limit
    #[arg(short, long, value_name = "N", default_value = "-1", allow_negative_numbers = true, value_parser = number::limit)]
    n_predict: Limit,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Stop when this text appears; it is not printed (may be given several times)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

/// How tokens are chosen.
#[derive(Debug, clap::Args)]
pub(crate) struct SamplerArgs {
    /// Temperature; 0 always picks the most likely token
    #[arg(long, value_name = "T", default_value_t = SamplerConfig::default().temp, allow_negative_numbers = true, value_parser = number::temperature)]
    temp: f32,
    /// Sample from the K most likely tokens; 0 for all
    #[arg(long, value_name = "K", default_value_t = SamplerConfig::default().top_k, allow_negative_numbers = true, value_parser = number::whole::<i32>)]
    top_k: i32,
    /// Sample from the most likely tokens whose probabilities add up to P; 1 for all
    #[arg(long, value_name = "P", default_value_t = SamplerConfig::default().top_p, allow_negative_numbers = true, value_parser = number::probability)]
    top_p: f32,
    /// Sample from tokens that have at least P times the probability of the most likely; 0 for all
    #[arg(long, value_name = "P", default_value_t = SamplerConfig::default().min_p, allow_negative_numbers = true, value_parser = number::probability)]
    min_p: f32,
    /// Make recent tokens less likely by this factor, those of the prompt too; 1 for no change
    #[arg(long, value_name = "X", default_value_t = SamplerConfig::default().repeat_penalty, allow_negative_numbers = true, value_parser = number::factor)]
    repeat_penalty: f32,
    /// Make recent tokens less likely by this much, once however often they occur; 0 for no change
    #[arg(long, value_name = "X", default_value_t = SamplerConfig::default().presence_penalty, allow_negative_numbers = true, value_parser = number::finite)]
    presence_penalty: f32,
    /// Make recent tokens less likely by this much for each time they occur; 0 for no change
    #[arg(long, value_name = "X", default_value_t = SamplerConfig::default().frequency_penalty, allow_negative_numbers = true, value_parser = number::finite)]
    frequency_penalty: f32,
    /// Number of recent tokens that the penalties see; -1 for the whole context
    #[arg(long, value_name = "N", default_value_t = SamplerConfig::default().repeat_last_n, allow_negative_numbers = true, value_parser = number::window)]
    repeat_last_n: i32,
    /// Random seed; -1 for a random one [default: random]
    #[arg(short, long, value_name = "N", default_value = "-1", hide_default_value = true, allow_negative_numbers = true, value_parser = number::seed)]
    seed: Seed,
}

// clap takes a field of the type Option for a flag that may be missing.
type Limit = std::option::Option<usize>;
type Seed = std::option::Option<u32>;

impl SamplingArgs {
    /// What was typed, checked, with a seed: a text can be had again.
    pub(crate) fn sampling(&self) -> anyhow::Result<Sampling> {
        Ok(Sampling {
            config: self.sampler.config()?.with_seed(),
            max_tokens: self.n_predict,
            stop: self.stop.clone(),
        })
    }
}

impl SamplerArgs {
    /// What was typed, checked.
    pub(crate) fn config(&self) -> anyhow::Result<SamplerConfig> {
        let config = SamplerConfig {
            temp: self.temp,
            top_k: self.top_k.max(0),
            top_p: self.top_p,
            min_p: self.min_p,
            repeat_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            repeat_last_n: self.repeat_last_n,
            seed: self.seed,
        };
        config.check()?;
        Ok(config)
    }
}
