//! Checks attention against f64.

use siskin_kernels::check::attention::{AttentionCase, Shape};
use siskin_kernels::{AttentionKernel, Isa};

/// Heads of keys, heads that share them, numbers per head, positions, positions masked at the end, factor for
/// queries.
const SHAPES: [(usize, usize, usize, usize, usize, f32); 7] = [
    (4, 8, 64, 256, 255, 1.0),
    (2, 4, 64, 512, 31, 1.0),
    (3, 1, 64, 300, 0, 1.0),
    (2, 1, 256, 257, 3, 20.0),
    (2, 2, 16, 33, 1, 1.0),
    (1, 6, 128, 1000, 0, 200.0),
    (1, 4, 80, 64, 64, 1.0),
];

#[test]
fn every_kernel_is_near_f64() {
    let kernel = |isa| Some((isa, AttentionKernel::new(isa)?));
    let kernels: Vec<(Isa, AttentionKernel)> = Isa::ALL.into_iter().filter_map(kernel).collect();
    siskin_testing::expect_kernels(!kernels.is_empty());
    for (isa, kernel) in kernels {
        for (kv_heads, group, dim, positions, masked, size) in SHAPES {
            for masked in [Some(masked), None] {
                let shape = Shape {
                    kv_heads,
                    group,
                    dim,
                    positions,
                    masked,
                    size,
                };
                let case = AttentionCase::new(shape);
                for (at, (got, want)) in case.run(&kernel).iter().zip(case.exact()).enumerate() {
                    let apart = (f64::from(*got) - want).abs();
                    assert!(
                        apart < case.bound(),
                        "{isa:?} {shape:?} number {at}: {got} {want}"
                    );
                }
            }
        }
    }
}
