//! What is remembered, in the hands of a drafter and of the program that keeps its file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Remembered;
use crate::engine::Token;
use crate::speculate::{Bucket, Draft, Drafter, Source};

/// A [`Remembered`] with several owners: one guesses, another writes the file at the end.
#[derive(Debug, Clone)]
pub struct SharedRemembered(Arc<Mutex<Remembered>>);

impl SharedRemembered {
    /// Shares it.
    pub fn new(remembered: Remembered) -> Self {
        SharedRemembered(Arc::new(Mutex::new(remembered)))
    }

    /// What is remembered. Drop it before the next token is drawn.
    pub fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drafter for SharedRemembered {
    fn source(&self) -> Source {
        Source::Remembered
    }

    fn observe(&mut self, tokens: &[Token]) {
        self.lock().observe(tokens);
    }

    fn forget(&mut self, len: usize) {
        self.lock().forget(len);
    }

    fn propose(&mut self, most: usize, goes_on: &dyn Fn(&[(Token, Bucket)]) -> bool) -> Draft {
        self.lock().propose(most, goes_on)
    }

    fn prior(&self, bucket: Bucket) -> f64 {
        self.lock().prior(bucket)
    }
}
