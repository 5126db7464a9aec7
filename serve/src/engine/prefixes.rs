//! Prefixes that come from the store before a prompt is computed, and go there while nothing is.

use siskin_model::shape::Shape;
use siskin_runtime::scheduler::{Limits, Move, Scheduler};
use siskin_runtime::{Error, LoadPlan, Token};

use super::worker::Worker;
use crate::app::unix_time;
use crate::store::{
    self, Candidate, Counters, Key, KeyId, Prefix, Rates, Scope, Store, Verdict, worth_loading, worth_saving,
};

/// What the states of a model's sequences depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateKey {
    id: KeyId,
    /// Bytes of keys and values of a token.
    bytes_per_token: u64,
}

impl StateKey {
    /// The key of a model with the settings of its plan; `None` if its shape is not known.
    pub(crate) fn new(plan: &LoadPlan, fingerprint: [u8; 32], limits: &Limits) -> Option<Self> {
        let shape: &Shape = plan.shape.as_ref()?;
        let values = &plan.settings.values;
        let key = Key {
            model: fingerprint,
            llama_cpp: &siskin_runtime::llama_cpp_version(),
            siskin: env!("CARGO_PKG_VERSION"),
            cache_type: values.cache_type.name(),
            flash_attention: values.flash_attention.name(),
            layout: if limits.shared { "unified" } else { "separate" },
            buffers: if limits.shared { 1 } else { limits.sequences as u32 },
            kernels: values.kernels.name(),
            rope: "",
            adapters: &[],
        };
        Some(StateKey {
            id: key.id(),
            bytes_per_token: shape.kv_bytes(values.cache_type, 256) / 256,
        })
    }

    fn scope(&self, namespace: u64) -> Scope {
        Scope {
            key: self.id,
            namespace,
        }
    }
}

/// The store, as the engine uses it.
pub(super) struct Prefixes {
    store: Store,
}

/// A stored prefix that is worth reading, and where it goes.
pub(super) struct Restore {
    candidate: Candidate,
    sequence: usize,
    moves: Vec<Move>,
    namespace: u64,
}

/// A sequence that is worth saving.
pub(super) struct Save {
    sequence: usize,
    tokens: Vec<u32>,
    namespace: u64,
    hits: u32,
    rates: Rates,
    key: StateKey,
}

impl Prefixes {
    pub(super) fn new(store: Store) -> Self {
        Prefixes { store }
    }

    pub(super) fn counters(&self) -> Counters {
        self.store.counters()
    }

    fn rates(&self, scheduler: &Scheduler, key: &StateKey) -> Rates {
        Rates {
            prefill: scheduler.costs().prefill_rate(),
            disk: self.store.disk_rate(),
            bytes_per_token: key.bytes_per_token,
        }
    }

    /// The stored prefix that a prompt is to begin from, if it saves time; room is made for it.
    pub(super) fn find(
        &self,
        scheduler: &mut Scheduler,
        key: &StateKey,
        prompt: &[Token],
        namespace: u64,
        known: u32,
    ) -> Option<Restore> {
        let candidate = self.store.best_prefix(key.scope(namespace), &ids(prompt))?;
        // A token is left to compute.
        let usable = candidate.usable.min(prompt.len().saturating_sub(1));
        if !worth_loading(
            usable,
            candidate.stored,
            known as usize,
            &self.rates(scheduler, key),
        ) {
            return None;
        }
        let (sequence, moves) = scheduler.room_for(u32::try_from(candidate.stored).ok()?)?;
        Some(Restore {
            candidate,
            sequence,
            moves,
            namespace,
        })
    }

    /// Reads a prefix: its tokens, if it is right.
    pub(super) fn restore(
        &mut self,
        worker: &mut Worker,
        restore: &Restore,
    ) -> Result<Option<Vec<Token>>, Error> {
        worker.carry_out(&restore.moves)?;
        let Some(verified) = self.store.verify(&restore.candidate) else {
            return Ok(None);
        };
        let tokens: Vec<Token> = verified
            .tokens
            .iter()
            .map(|&id| Token(id.cast_signed()))
            .collect();
        if worker.load(restore.sequence, &verified.file, &tokens).is_err() {
            self.store.discard(verified.id);
            return Ok(None);
        }
        self.store.note_hit(verified.id, unix_time());
        Ok(Some(tokens))
    }

    /// The prefix that is worth saving most: the one that was used most often.
    pub(super) fn choose(&self, scheduler: &Scheduler, key: &StateKey) -> Option<Save> {
        let rates = self.rates(scheduler, key);
        let worth = scheduler.prefixes().filter(|(_, tokens, namespace, hits)| {
            let verdict = worth_saving(tokens.len(), *hits, &rates);
            let stored = || self.store.best_prefix(key.scope(*namespace), &ids(tokens));
            // What nearly all of is there is not written again.
            verdict == Verdict::Save && stored().is_none_or(|found| found.usable * 10 < tokens.len() * 9)
        });
        let (sequence, tokens, namespace, hits) = worth.max_by_key(|(.., hits)| *hits)?;
        Some(Save {
            sequence,
            tokens: ids(tokens),
            namespace,
            hits,
            rates,
            key: *key,
        })
    }

    /// Saves it; false if it cannot be saved now.
    pub(super) fn save(&mut self, worker: &mut Worker, save: &Save) -> bool {
        let count = save.tokens.len();
        let prefix = Prefix {
            scope: save.key.scope(save.namespace),
            tokens: &save.tokens,
            bytes: count as u64 * save.key.bytes_per_token + (1 << 16),
            seconds: save.rates.compute_seconds(count),
            hits: save.hits,
        };
        let saved = self
            .store
            .save(&prefix, unix_time(), |file| worker.save(save.sequence, file));
        saved.is_ok()
    }

    /// Writes what was noted.
    pub(super) fn flush(&mut self) {
        let _ = self.store.flush(unix_time());
    }
}

impl Restore {
    pub(super) fn sequence(&self) -> usize {
        self.sequence
    }

    pub(super) fn namespace(&self) -> u64 {
        self.namespace
    }
}

/// The fingerprint of a model's file; `None` if it cannot be read.
pub(crate) fn fingerprint(path: Option<&std::path::Path>) -> Option<[u8; 32]> {
    match path {
        Some(path) => store::fingerprint(&siskin_model::gguf::ModelFile::open(path).ok()?).ok(),
        None => Some([0; 32]),
    }
}

fn ids(tokens: &[Token]) -> Vec<u32> {
    tokens.iter().map(|token| token.0.cast_unsigned()).collect()
}
