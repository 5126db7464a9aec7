//! Attention held to f64.

use siskin_kernels::{Attention, AttentionKernel, Cache, Isa, Strided};

/// Repeatable noise in -1..1.
fn noise(state: &mut u64) -> f32 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// A number in -1..1 that f16 holds, and its bits.
fn half(state: &mut u64) -> (f32, u16) {
    let sixteenths = (noise(state) * 15.0).round();
    let bits = match sixteenths.abs() as u16 {
        0 => 0,
        n => {
            let exponent = n.ilog2() as u16;
            (15 - 4 + exponent) << 10 | (n << (10 - exponent)) & 0x3ff
        }
    };
    (sixteenths / 16.0, bits | u16::from(sixteenths < 0.0) << 15)
}

struct Shape {
    kv_heads: usize,
    group: usize,
    dim: usize,
    positions: usize,
    /// Positions masked out at the end, and every seventh.
    masked: usize,
    /// How large queries are.
    size: f32,
}

const SHAPES: [Shape; 7] = [
    Shape {
        kv_heads: 4,
        group: 8,
        dim: 64,
        positions: 256,
        masked: 255,
        size: 1.0,
    },
    Shape {
        kv_heads: 2,
        group: 4,
        dim: 64,
        positions: 512,
        masked: 31,
        size: 1.0,
    },
    Shape {
        kv_heads: 3,
        group: 1,
        dim: 64,
        positions: 300,
        masked: 0,
        size: 1.0,
    },
    Shape {
        kv_heads: 2,
        group: 1,
        dim: 256,
        positions: 257,
        masked: 3,
        size: 20.0,
    },
    Shape {
        kv_heads: 2,
        group: 2,
        dim: 16,
        positions: 33,
        masked: 1,
        size: 1.0,
    },
    Shape {
        kv_heads: 1,
        group: 6,
        dim: 128,
        positions: 1000,
        masked: 0,
        size: 200.0,
    },
    Shape {
        kv_heads: 1,
        group: 4,
        dim: 80,
        positions: 64,
        masked: 64,
        size: 1.0,
    },
];

#[test]
fn every_kernel_is_near_f64() {
    for isa in Isa::ALL {
        let Some(kernel) = AttentionKernel::new(isa) else {
            println!("skipped: this CPU has no {}", isa.name());
            continue;
        };
        for shape in &SHAPES {
            for masks in [true, false] {
                check(&kernel, shape, masks, isa);
            }
        }
    }
}

fn check(kernel: &AttentionKernel, shape: &Shape, masks: bool, isa: Isa) {
    let &Shape {
        kv_heads,
        group,
        dim,
        positions,
        masked,
        size,
    } = shape;
    let (heads, mut state) = (kv_heads * group, 7);
    let mut q: Vec<f32> = (0..heads * dim).map(|_| noise(&mut state) * size).collect();
    let cache = |state: &mut u64| -> (Vec<f32>, Vec<u16>) {
        (0..kv_heads * positions * dim).map(|_| half(state)).unzip()
    };
    let ((k, k_bits), (v, v_bits)) = (cache(&mut state), cache(&mut state));
    let hidden = |p: usize| masks && (p >= positions - masked || p % 7 == 3);
    let mask: Vec<u16> = (0..positions)
        .map(|p| if hidden(p) { 0xfc00 } else { 0 })
        .collect();
    let mut out = vec![f32::NAN; heads * dim];
    // As llama.cpp has them: positions outside, heads inside.
    let place = |head: usize, p: usize| (p * kv_heads + head) * dim;
    let cache = |bits: &[u16]| Cache {
        data: bits.as_ptr(),
        position_stride: kv_heads * dim * 2,
        head_stride: dim * 2,
    };
    let attention = Attention {
        q: Strided {
            data: q.as_mut_ptr(),
            stride: dim * 4,
        },
        k: cache(&k_bits),
        v: cache(&v_bits),
        mask: if masks { mask.as_ptr() } else { std::ptr::null() },
        out: Strided {
            data: out.as_mut_ptr(),
            stride: dim * 4,
        },
        positions,
        dim,
        group,
        heads: 0..heads,
        scale: 0.125,
    };
    // SAFETY: every row of the shapes is in the vectors above, and the results are this test's.
    unsafe { kernel.run(&attention) };
    for head in 0..heads {
        let kv = head / group;
        let score = |p: usize| -> f64 {
            let key = &k[place(kv, p)..][..dim];
            key.iter()
                .zip(&q[head * dim..])
                .map(|(k, q)| f64::from(*k) * f64::from(*q))
                .sum::<f64>()
                * 0.125
        };
        let seen: Vec<(usize, f64)> = (0..positions)
            .filter(|p| !hidden(*p))
            .map(|p| (p, score(p)))
            .collect();
        let most = seen
            .iter()
            .fold(f64::NEG_INFINITY, |most, (_, score)| most.max(*score));
        let total: f64 = seen.iter().map(|(_, score)| (score - most).exp()).sum();
        for d in 0..dim {
            let value = |(p, score): &(usize, f64)| (score - most).exp() * f64::from(v[place(kv, *p) + d]);
            let want = if seen.is_empty() {
                0.0
            } else {
                seen.iter().map(value).sum::<f64>() / total
            };
            let got = f64::from(out[head * dim + d]);
            // A score's rounding error, in f32 relative to its largest product sum, is a relative error of its weight.
            let allowed = 1e-5 + 4e-6 * f64::from(size);
            assert!(
                (got - want).abs() < allowed,
                "{isa:?} {group} {dim} {positions} {masks} head {head} {d}: {got} {want}"
            );
        }
    }
}
