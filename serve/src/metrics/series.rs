//! Counters, gauges and histograms that any thread adds to without waiting, and their text.

use std::fmt::Write;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A metric's samples as Prometheus' text format has them.
pub(super) trait Series {
    /// `counter`, `gauge` or `histogram`.
    fn kind(&self) -> &'static str;

    /// Appends lines, each with the metric's name.
    fn write(&self, name: &str, text: &mut String);
}

/// A count of things.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Sets a count that somebody else keeps; it never falls.
    pub fn raise_to(&self, count: u64) {
        self.0.fetch_max(count, Ordering::Relaxed);
    }

    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts some.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Series for Counter {
    fn kind(&self) -> &'static str {
        "counter"
    }

    fn write(&self, name: &str, text: &mut String) {
        sample(text, name, "", self.get());
    }
}

/// A sum of times, kept in microseconds.
#[derive(Debug, Default)]
pub struct Seconds(AtomicU64);

impl Seconds {
    /// Adds a time.
    pub fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Series for Seconds {
    fn kind(&self) -> &'static str {
        "counter"
    }

    fn write(&self, name: &str, text: &mut String) {
        sample(text, name, "", self.get().as_secs_f64());
    }
}

/// A sum of energy, kept in microjoules; not told if no meter ever told any.
#[derive(Debug, Default)]
pub struct Joules(AtomicU64);

impl Joules {
    /// Adds joules.
    pub fn add(&self, joules: f64) {
        self.0
            .fetch_add((joules.max(0.0) * 1e6) as u64, Ordering::Relaxed);
    }
}

impl Series for Joules {
    fn kind(&self) -> &'static str {
        "counter"
    }

    fn write(&self, name: &str, text: &mut String) {
        match self.0.load(Ordering::Relaxed) {
            0 => {}
            micros => sample(text, name, "", micros as f64 / 1e6),
        }
    }
}

/// A value that goes up and down; 0 at first.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Sets the value if it is larger than before.
    pub fn raise(&self, value: f64) {
        let raise = |bits| (value > f64::from_bits(bits)).then_some(value.to_bits());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise);
    }

    /// The value.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Series for Gauge {
    fn kind(&self) -> &'static str {
        "gauge"
    }

    fn write(&self, name: &str, text: &mut String) {
        sample(text, name, "", self.get());
    }
}

/// A gauge that not every machine has: it has no sample before it is set.
#[derive(Debug)]
pub struct Reading(Gauge);

impl Default for Reading {
    fn default() -> Self {
        let gauge = Gauge::default();
        gauge.set(f64::NAN);
        Reading(gauge)
    }
}

impl Reading {
    /// Sets the value; `None` if it is not known any more.
    pub fn set(&self, value: Option<f64>) {
        self.0.set(value.unwrap_or(f64::NAN));
    }
}

impl Series for Reading {
    fn kind(&self) -> &'static str {
        "gauge"
    }

    fn write(&self, name: &str, text: &mut String) {
        if !self.0.get().is_nan() {
            self.0.write(name, text);
        }
    }
}

/// The upper bounds of a histogram's buckets, which rise.
pub trait Bounds {
    /// The bounds, without the last one, which is infinite.
    const BOUNDS: &'static [f64];
}

/// How often values were within bounds.
#[derive(Debug)]
pub struct Histogram<B> {
    /// One more than there are bounds.
    buckets: Vec<AtomicU64>,
    /// In millionths.
    sum: AtomicU64,
    bounds: PhantomData<fn() -> B>,
}

impl<B: Bounds> Default for Histogram<B> {
    fn default() -> Self {
        Histogram {
            buckets: (0..=B::BOUNDS.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            bounds: PhantomData,
        }
    }
}

impl<B: Bounds> Histogram<B> {
    /// Counts a time.
    pub fn time(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// Counts a value; values below zero and those that are no numbers are not counted.
    pub fn observe(&self, value: f64) {
        if value.is_nan() || value < 0.0 {
            return;
        }
        let bucket = B::BOUNDS.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        // The conversion saturates.
        self.sum.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Ordering::Relaxed))
            .sum()
    }
}

impl<B: Bounds> Series for Histogram<B> {
    fn kind(&self) -> &'static str {
        "histogram"
    }

    fn write(&self, name: &str, text: &mut String) {
        let bounds = B::BOUNDS.iter().copied().chain([f64::INFINITY]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            let bound = if bound.is_finite() {
                bound.to_string()
            } else {
                "+Inf".to_owned()
            };
            sample(text, &format!("{name}_bucket"), &labels(&[("le", &bound)]), count);
        }
        let sum = self.sum.load(Ordering::Relaxed) as f64 / 1e6;
        sample(text, &format!("{name}_sum"), "", sum);
        sample(text, &format!("{name}_count"), "", count);
    }
}

/// The values of a label: a closed set.
pub trait Label: Copy {
    /// The label's name.
    const NAME: &'static str;
    /// Its values, in order of [`Label::index`].
    const VALUES: &'static [&'static str];

    /// The place of this value among [`Label::VALUES`].
    fn index(self) -> usize;
}

/// A counter for each value of a label.
#[derive(Debug)]
pub struct Counters<L> {
    counters: Vec<Counter>,
    label: PhantomData<fn() -> L>,
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        Counters {
            counters: L::VALUES.iter().map(|_| Counter::default()).collect(),
            label: PhantomData,
        }
    }
}

impl<L: Label> Counters<L> {
    /// Counts one.
    pub fn one(&self, label: L) {
        if let Some(counter) = self.counters.get(label.index()) {
            counter.one();
        }
    }

    /// The count of this value.
    pub fn get(&self, label: L) -> u64 {
        self.counters.get(label.index()).map_or(0, Counter::get)
    }
}

impl<L: Label> Series for Counters<L> {
    fn kind(&self) -> &'static str {
        "counter"
    }

    fn write(&self, name: &str, text: &mut String) {
        for (value, counter) in L::VALUES.iter().zip(&self.counters) {
            sample(text, name, &labels(&[(L::NAME, value)]), counter.get());
        }
    }
}

/// `{name="value",…}`, with values escaped as the format wants it.
pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let escape = |value: &str| {
        value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    };
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// One line.
pub(super) fn sample(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{name}{labels} {value}");
}
