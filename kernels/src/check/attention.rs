//! Repeatable attentions of one token, and their values in f64.

use super::Noise;
use crate::{Attention, AttentionKernel, Cache, Strided};

/// The shape of an attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Number of heads of keys and values.
    pub kv_heads: usize,
    /// Number of heads that share keys.
    pub group: usize,
    /// Numbers per head.
    pub dim: usize,
    /// Number of positions.
    pub positions: usize,
    /// Number of positions masked out at the end; every seventh is then masked out too. `None` for no mask.
    pub masked: Option<usize>,
    /// Factor for the queries.
    pub size: f32,
}

/// Queries, keys, values and a mask of a [`Shape`].
#[derive(Debug, Clone)]
pub struct AttentionCase {
    shape: Shape,
    q: Vec<f32>,
    k: Half,
    v: Half,
    mask: Vec<u16>,
}

/// Numbers that f16 can hold, and their bits.
#[derive(Debug, Clone)]
struct Half {
    numbers: Vec<f32>,
    bits: Vec<u16>,
}

/// Factor for the products of queries and keys.
const SCALE: f32 = 0.125;

impl AttentionCase {
    /// The case for `shape`; the same shape gives the same case.
    pub fn new(shape: Shape) -> Self {
        let mut noise = Noise(7);
        let q = (0..shape.kv_heads * shape.group * shape.dim).map(|_| noise.signed_unit() * shape.size);
        let q = q.collect();
        let mut cache = || {
            let (numbers, bits) = (0..shape.kv_heads * shape.positions * shape.dim)
                .map(|_| half(&mut noise))
                .unzip();
            Half { numbers, bits }
        };
        let (k, v) = (cache(), cache());
        let mask = (0..shape.positions).map(|p| if hidden(&shape, p) { 0xfc00 } else { 0 });
        Self {
            mask: mask.collect(),
            shape,
            q,
            k,
            v,
        }
    }

    /// The results that `kernel` computes: `[heads][dim]`.
    pub fn run(&self, kernel: &AttentionKernel) -> Vec<f32> {
        let Shape { kv_heads, dim, .. } = self.shape;
        let mut q = self.q.clone();
        let mut out = vec![f32::NAN; q.len()];
        // As in llama.cpp's cache: positions outside, heads inside.
        let cache = |half: &Half| Cache {
            data: half.bits.as_ptr(),
            position_stride: kv_heads * dim * 2,
            head_stride: dim * 2,
        };
        let attention = Attention {
            q: Strided {
                data: q.as_mut_ptr(),
                stride: dim * 4,
            },
            k: cache(&self.k),
            v: cache(&self.v),
            mask: self.shape.masked.map_or(std::ptr::null(), |_| self.mask.as_ptr()),
            out: Strided {
                data: out.as_mut_ptr(),
                stride: dim * 4,
            },
            positions: self.shape.positions,
            dim,
            group: self.shape.group,
            heads: 0..kv_heads * self.shape.group,
            scale: SCALE,
        };
        // SAFETY: every row of the shape is in the vectors above, and only this function has the results.
        unsafe { kernel.run(&attention) };
        out
    }

    /// The exact results: `[heads][dim]`.
    pub fn exact(&self) -> Vec<f64> {
        let Shape { kv_heads, group, .. } = self.shape;
        (0..kv_heads * group)
            .flat_map(|head| self.exact_head(head))
            .collect()
    }

    /// How far a kernel that sums in f32 may be from [`AttentionCase::exact`]: a score's rounding error,
    /// relative to its largest product sum, is a relative error of its weight.
    pub fn bound(&self) -> f64 {
        1e-5 + 4e-6 * f64::from(self.shape.size)
    }

    fn exact_head(&self, head: usize) -> Vec<f64> {
        let Shape {
            kv_heads,
            group,
            dim,
            positions,
            ..
        } = self.shape;
        let row = |p: usize| (p * kv_heads + head / group) * dim;
        let query = &self.q[head * dim..][..dim];
        let score = |p: usize| -> f64 {
            let key = &self.k.numbers[row(p)..][..dim];
            let products = key.iter().zip(query).map(|(k, q)| f64::from(*k) * f64::from(*q));
            products.sum::<f64>() * f64::from(SCALE)
        };
        let seen = (0..positions).filter(|p| !hidden(&self.shape, *p));
        let seen: Vec<(usize, f64)> = seen.map(|p| (p, score(p))).collect();
        let most = seen
            .iter()
            .fold(f64::NEG_INFINITY, |most, (_, score)| most.max(*score));
        let total: f64 = seen.iter().map(|(_, score)| (score - most).exp()).sum();
        let value = |d: usize| -> f64 {
            let weighted = seen
                .iter()
                .map(|(p, score)| (score - most).exp() * f64::from(self.v.numbers[row(*p) + d]));
            weighted.sum::<f64>() / total
        };
        let nothing = seen.is_empty();
        (0..dim).map(|d| if nothing { 0.0 } else { value(d) }).collect()
    }
}

fn hidden(shape: &Shape, position: usize) -> bool {
    let masked = |masked| position >= shape.positions - masked || position % 7 == 3;
    shape.masked.is_some_and(masked)
}

/// A number in -1..1 that f16 can hold, and its bits.
fn half(noise: &mut Noise) -> (f32, u16) {
    let sixteenths = (noise.signed_unit() * 15.0).round();
    let bits = match sixteenths.abs() as u16 {
        0 => 0,
        n => {
            let exponent = n.ilog2() as u16;
            (15 - 4 + exponent) << 10 | (n << (10 - exponent)) & 0x3ff
        }
    };
    (sixteenths / 16.0, bits | u16::from(sixteenths < 0.0) << 15)
}
