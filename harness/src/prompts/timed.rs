//! What drafters take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use siskin_runtime::Token;
use siskin_runtime::speculate::{Bucket, Draft, Drafter, Source};

/// The time of several drafters.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopwatch(Arc<AtomicU64>);

impl Stopwatch {
    /// The same drafters, with their time taken.
    pub(super) fn on(&self, drafters: Vec<Box<dyn Drafter>>) -> Vec<Box<dyn Drafter>> {
        let timed = drafters.into_iter().map(|inner| {
            let watch = self.clone();
            Box::new(Timed { inner, watch }) as Box<dyn Drafter>
        });
        timed.collect()
    }

    /// Their time so far.
    pub(super) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
        done
    }
}

/// A drafter whose time is taken.
#[derive(Debug)]
struct Timed {
    inner: Box<dyn Drafter>,
    watch: Stopwatch,
}

impl Drafter for Timed {
    fn source(&self) -> Source {
        self.inner.source()
    }

    fn observe(&mut self, tokens: &[Token]) {
        self.watch.time(|| self.inner.observe(tokens));
    }

    fn forget(&mut self, len: usize) {
        self.watch.time(|| self.inner.forget(len));
    }

    fn propose(&mut self, most: usize, goes_on: &dyn Fn(&[(Token, Bucket)]) -> bool) -> Draft {
        self.watch.time(|| self.inner.propose(most, goes_on))
    }

    fn row(&mut self, token: Token, logits: &[f32]) {
        self.watch.time(|| self.inner.row(token, logits));
    }

    fn prior(&self, bucket: Bucket) -> f64 {
        self.inner.prior(bucket)
    }

    fn seconds_each(&self) -> f64 {
        self.inner.seconds_each()
    }

    fn seconds_read(&self) -> f64 {
        self.inner.seconds_read()
    }
}
