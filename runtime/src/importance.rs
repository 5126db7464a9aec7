//! An importance matrix, collected from a run: what each column of the model's matrices is multiplied with.

mod collector;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};

use siskin_device::settings::Values;

use crate::Error;
use crate::engine::{Batch, Context, ContextOptions, EvalCallback, Model, MulMat, Rows, SequenceId, Token};
use collector::Collector;

pub use collector::Sums;

/// Tokens computed together. llama.cpp keeps the logits of each, so this bounds memory.
const BATCH: usize = 128;

/// Collects an importance matrix from chunks of text.
#[derive(Debug)]
pub struct Importance {
    context: Context,
    sequence: SequenceId,
    collected: Shared,
    chunk: u32,
}

/// The collector, which the context's callback fills.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Collector>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Collector> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl EvalCallback for Shared {
    fn wants(&mut self, tensor: &str) -> bool {
        self.lock().wants(tensor)
    }

    fn mul_mat(&mut self, tensor: &str, product: &MulMat<'_>) {
        self.lock().add(tensor, product);
    }
}

impl Importance {
    /// A context of one chunk of `chunk` tokens. With `output`, the output matrix is collected too, or the embedding
    /// that serves as one.
    ///
    /// # Errors
    /// llama.cpp cannot make the context.
    pub fn new(model: &Model, chunk: u32, output: bool) -> Result<Self, Error> {
        let collected = Shared(Arc::new(Mutex::new(Collector::new(output))));
        let settings = model.settings().values;
        let values = Values {
            ubatch: (BATCH as u32).min(chunk),
            // A chunk is a prompt; and sums are exact only over exact keys.
            threads: settings.threads_batch,
            threads_batch: settings.threads_batch,
            ..Values::default()
        };
        let mut context = Context::new(
            model,
            ContextOptions {
                context: Some(chunk),
                callback: Some(Box::new(collected.clone())),
                ..ContextOptions::from(values)
            },
        )?;
        let sequence = context.sequence()?;
        Ok(Importance {
            context,
            sequence,
            collected,
            chunk,
        })
    }

    /// Runs one chunk of tokens on its own. Its first token is replaced by the one that begins texts, if the model has
    /// one. Returns false if `stop` became true meanwhile; what was collected is of no use then.
    ///
    /// # Errors
    /// llama.cpp fails, or a matrix is multiplied with what is not a number.
    pub fn add(&mut self, tokens: &[Token], stop: Option<&AtomicBool>) -> Result<bool, Error> {
        let mut tokens = tokens.to_vec();
        if let (Some(first), Some(bos)) = (tokens.first_mut(), self.context.model().bos()) {
            *first = bos;
        }
        self.context.clear(self.sequence);
        for part in tokens.chunks(BATCH) {
            // Every token is an output: llama.cpp drops the others before the last layer's products.
            let mut batch = Batch::new();
            batch.push(self.sequence, part, Rows::All);
            if !self.context.decode_until(&batch, stop, |_| {})? {
                return Ok(false);
            }
        }
        match self.collected.lock().broken() {
            Some(tensor) => Err(Error::NonFinite(tensor.to_owned())),
            None => Ok(true),
        }
    }

    /// Tokens of a chunk.
    pub fn chunk(&self) -> u32 {
        self.chunk
    }

    /// What was collected, by the name of the tensor.
    pub fn into_sums(self) -> BTreeMap<String, Sums> {
        std::mem::take(&mut *self.collected.lock()).into_sums()
    }
}
