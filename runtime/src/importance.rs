//! An importance matrix, collected from a run: what each column of the model's matrices is multiplied with.

use std::collections::BTreeMap;

use siskin_quant::imatrix::Sums;

use super::collector::Collector;
use super::watch::Watched;
use super::{EngineError, Model, Token};

/// Collects from chunks of text.
#[derive(Debug)]
pub struct Importance<'m> {
    model: &'m Model,
    context: Watched<'m>,
    chunk: u32,
}

/// How to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportanceOptions {
    /// Tokens of a chunk: the context.
    pub chunk: u32,
    /// Threads.
    pub threads: usize,
    /// Collect for the output matrix as well, or for the embedding that serves as one.
    pub output: bool,
}

impl<'m> Importance<'m> {
    /// A context of one chunk.
    pub fn new(model: &'m Model, options: &ImportanceOptions) -> Result<Self, EngineError> {
        let collector = Collector::new(options.output);
        Ok(Importance {
            model,
            context: Watched::new(model, options.chunk, options.threads, collector)?,
            chunk: options.chunk,
        })
    }

    /// Runs one chunk of tokens, alone: the token in front is the one that begins texts, where the model has one.
    pub fn feed(&mut self, tokens: &[Token]) -> Result<(), EngineError> {
        let mut tokens = tokens.to_vec();
        if let (Some(first), Some(begin)) = (tokens.first_mut(), self.model.begin()) {
            *first = begin;
        }
        self.context.run(&tokens)?;
        let tensors = self.context.watcher().sums();
        let broken = tensors
            .iter()
            .find(|(_, sums)| sums.squares.iter().any(|v| !v.is_finite()));
        match broken {
            Some((tensor, _)) => Err(EngineError::NonFinite(tensor.clone())),
            None => Ok(()),
        }
    }

    /// Tokens of a chunk.
    pub fn chunk(&self) -> u32 {
        self.chunk
    }

    /// What was collected.
    pub fn into_sums(self) -> BTreeMap<String, Sums> {
        self.context.into_watcher().into_sums()
    }
}
