//! Repeatable random weights and importances to quantize.

/// Repeatable noise: xorshift64*.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in 0..1, never 0.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub(crate) fn gaussian(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub(crate) fn fill(&mut self, n: usize, mut draw: impl FnMut(&mut Self, usize) -> f64) -> Vec<f32> {
        (0..n).map(|i| draw(self, i) as f32).collect()
    }
}

/// Named rows of `n` weights: distributions that real weights have, and some that break quantizers.
pub(crate) fn rows(n: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let z = &mut Noise(seed | 1);
    vec![
        ("gaussian", z.fill(n, |z, _| 0.02 * z.gaussian())),
        // Student's t with 3 degrees of freedom.
        (
            "heavy-tailed",
            z.fill(n, |z, _| {
                let chi: f64 = (0..3).map(|_| z.gaussian().powi(2)).sum();
                0.01 * z.gaussian() / (chi / 3.0).sqrt()
            }),
        ),
        // A different scale for each input channel and a few much larger channels, as in trained matrices.
        (
            "trained-like",
            z.fill(n, |z, i| {
                let channel = (i % 256) as f64;
                let outlier = if i % 97 == 13 { 12.0 } else { 1.0 };
                (0.01 + 0.02 * (channel * 0.37).sin().powi(2)) * outlier * z.gaussian()
            }),
        ),
        ("uniform", z.fill(n, |z, _| z.uniform() - 0.5)),
        ("positive", z.fill(n, |z, _| z.uniform())),
        ("negative", z.fill(n, |z, _| -z.uniform())),
        (
            "sparse",
            z.fill(n, |z, _| if z.bits() % 8 == 0 { z.gaussian() } else { 0.0 }),
        ),
        (
            "one of each block",
            z.fill(n, |z, i| if i % 32 == 7 { z.gaussian() } else { 0.0 }),
        ),
        ("three values", z.fill(n, |z, _| (z.bits() % 3) as f64 - 1.0)),
        ("zeros", vec![0.0; n]),
        ("constant", vec![0.3; n]),
        ("negative constant", vec![-0.3; n]),
        (
            "zeros of both signs",
            z.fill(n, |z, i| {
                if z.bits() % 2 == 0 {
                    -0.0
                } else {
                    (i % 2) as f64 * 0.0
                }
            }),
        ),
        (
            "zeros of both signs, and positive",
            z.fill(n, |z, i| match i % 3 {
                0 => -0.0,
                1 => 0.0,
                _ => z.uniform(),
            }),
        ),
        ("ramp", z.fill(n, |_, i| (i % 256) as f64 / 256.0 - 0.4)),
        (
            "a scale for each block",
            z.fill(n, |z, i| z.gaussian() * 10f64.powi((i / 32 % 10) as i32 - 6)),
        ),
        ("small", z.fill(n, |z, _| 1e-5 * z.gaussian())),
        ("tiny", z.fill(n, |z, _| 1e-12 * z.gaussian())),
        ("large", z.fill(n, |z, _| 1e4 * z.gaussian())),
    ]
}

/// Rows at the limits of f32, with scales that do not fit f16. The test compares dequantized values, and only
/// if ggml's are finite.
pub(crate) fn extreme_rows(n: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let z = &mut Noise(seed | 1);
    vec![
        ("denormal", z.fill(n, |z, _| 1e-40 * z.gaussian())),
        ("huge", z.fill(n, |z, _| 1e8 * z.gaussian())),
        ("at f16's end", z.fill(n, |z, _| 6e4 * (z.uniform() - 0.5))),
    ]
}

/// Named rows of `n` importances, one per column.
pub(crate) fn importances(n: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let z = &mut Noise(seed | 1);
    vec![
        ("squares", z.fill(n, |z, _| z.gaussian().powi(2))),
        // As with real activations, a few columns are far above the others.
        (
            "outliers",
            z.fill(n, |z, i| {
                (0.1 * z.gaussian()).exp() * if i % 61 == 5 { 400.0 } else { 0.03 }
            }),
        ),
        ("all equal", vec![1.0; n]),
        (
            "many unused",
            z.fill(n, |z, i| if i % 96 < 64 { 0.0 } else { z.uniform() }),
        ),
        ("all unused", vec![0.0; n]),
        ("small", z.fill(n, |z, _| 1e-12 * z.uniform())),
    ]
}
