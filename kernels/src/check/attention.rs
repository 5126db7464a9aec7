//! Repeatable attentions, and their values in f64.

use super::Noise;
use crate::{Attention, AttentionKernel, Cache, CacheFormat, Mask, Strided};

/// The shape of an attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Number of streams.
    pub streams: usize,
    /// Number of tokens in each stream.
    pub tokens: usize,
    /// Number of cells in each stream.
    pub cells: usize,
    /// Number of heads of keys and values.
    pub kv_heads: usize,
    /// Number of heads that share keys.
    pub group: usize,
    /// Numbers per head.
    pub dim: usize,
    /// How keys are stored.
    pub k: CacheFormat,
    /// How values are stored.
    pub v: CacheFormat,
    /// Factor for the queries.
    pub size: f32,
}

/// Queries, keys, values and masks of a [`Shape`].
#[derive(Debug, Clone)]
pub struct AttentionCase {
    shape: Shape,
    /// `[streams][tokens][heads][dim]`.
    q: Vec<f32>,
    k: Stored,
    v: Stored,
    /// `[streams][tokens][cells]`; `None` if every token sees every cell.
    mask: Option<Vec<u16>>,
}

/// `[streams][cells][kv heads]` rows, as in llama.cpp's cache.
#[derive(Debug, Clone)]
struct Stored {
    format: CacheFormat,
    row: usize,
    bytes: Vec<u8>,
}

/// Factor for the products of queries and keys.
const SCALE: f32 = 0.125;
/// f16's minus infinity.
const HIDDEN: u16 = 0xfc00;

impl AttentionCase {
    /// The case for `shape`; the same shape gives the same case. `sees` says whether a token of a stream sees
    /// a cell; `None` is a case without a mask, in which every token sees every cell.
    pub fn new(shape: Shape, sees: Option<&dyn Fn(usize, usize, usize) -> bool>) -> Self {
        let mut noise = Noise(7);
        let numbers = shape.streams * shape.tokens * shape.heads() * shape.dim;
        let q = (0..numbers).map(|_| noise.signed_unit() * shape.size).collect();
        let mut cache = |format| Stored::noise(format, &shape, &mut noise);
        let (k, v) = (cache(shape.k), cache(shape.v));
        let mask = sees.map(|sees| {
            let tokens = (0..shape.streams).flat_map(|s| (0..shape.tokens).map(move |t| (s, t)));
            let rows = tokens.flat_map(|(s, t)| (0..shape.cells).map(move |c| sees(s, t, c)));
            rows.map(|seen| if seen { 0 } else { HIDDEN }).collect()
        });
        Self { shape, q, k, v, mask }
    }

    /// One token of this case without the others, in a stream of `cells` cells. The cells that it sees are
    /// those that `place` names, in order; the others have other keys and values and are hidden.
    ///
    /// # Panics
    /// If `place` gives fewer cells than the token sees.
    pub fn alone(
        &self,
        stream: usize,
        token: usize,
        cells: usize,
        place: impl Iterator<Item = usize>,
    ) -> Self {
        let shape = Shape {
            streams: 1,
            tokens: 1,
            cells,
            ..self.shape
        };
        let mut noise = Noise(99);
        let mut cache = |format| Stored::noise(format, &shape, &mut noise);
        let (mut k, mut v) = (cache(shape.k), cache(shape.v));
        let mut mask = vec![HIDDEN; cells];
        let mut places = place;
        for cell in self.seen(stream, token) {
            let to = places.next().expect("a place for each cell");
            let from = stream * self.shape.cells + cell;
            mask[to] = 0;
            for (to_rows, from_rows) in [(&mut k, &self.k), (&mut v, &self.v)] {
                let wide = from_rows.row * shape.kv_heads;
                to_rows.bytes[to * wide..][..wide].copy_from_slice(&from_rows.bytes[from * wide..][..wide]);
            }
        }
        let numbers = shape.heads() * shape.dim;
        let first = (stream * self.shape.tokens + token) * numbers;
        Self {
            shape,
            q: self.q[first..first + numbers].to_vec(),
            k,
            v,
            mask: Some(mask),
        }
    }

    /// The results that `kernel` computes, if `threads` threads divide them: `[streams][tokens][heads][dim]`.
    pub fn run(&self, kernel: &AttentionKernel, threads: usize) -> Vec<f32> {
        let mut q = self.q.clone();
        let mut out = vec![f32::NAN; q.len()];
        for thread in 0..threads {
            let heads = self.shape.heads();
            let share = Attention::share(heads, self.shape.group, thread, threads);
            let attention = self.attention(&mut q, &mut out, share.unwrap_or(0..0));
            // SAFETY: every row of the shape is in this case's vectors, and only this function has the
            // results.
            unsafe { kernel.run(&attention) };
        }
        out
    }

    /// The case as a kernel takes it.
    ///
    /// # Panics
    /// If `q` or `out` has another length than the case's queries.
    pub fn attention(&self, q: &mut [f32], out: &mut [f32], heads: std::ops::Range<usize>) -> Attention {
        assert!(q.len() == self.q.len() && out.len() == self.q.len());
        let shape = self.shape;
        let strided = |data| Strided {
            data,
            head: shape.dim * 4,
            token: shape.heads() * shape.dim * 4,
            stream: shape.tokens * shape.heads() * shape.dim * 4,
        };
        let cache = |stored: &Stored| Cache {
            format: stored.format,
            data: stored.bytes.as_ptr(),
            head: stored.row,
            cell: stored.row * shape.kv_heads,
            stream: stored.row * shape.kv_heads * shape.cells,
        };
        Attention {
            q: strided(q.as_mut_ptr()),
            k: cache(&self.k),
            v: cache(&self.v),
            mask: Mask {
                data: self.mask.as_ref().map_or(std::ptr::null(), |mask| mask.as_ptr()),
                token: shape.cells * 2,
                stream: shape.tokens * shape.cells * 2,
            },
            out: strided(out.as_mut_ptr()),
            streams: shape.streams,
            tokens: shape.tokens,
            cells: shape.cells,
            dim: shape.dim,
            group: shape.group,
            heads,
            scale: SCALE,
        }
    }

    /// The exact results: `[streams][tokens][heads][dim]`.
    pub fn exact(&self) -> Vec<f64> {
        let Shape { streams, tokens, .. } = self.shape;
        let tokens = (0..streams).flat_map(|s| (0..tokens).map(move |t| (s, t)));
        tokens
            .flat_map(|(s, t)| (0..self.shape.heads()).flat_map(move |head| self.exact_head(s, t, head)))
            .collect()
    }

    /// How far a kernel that sums in f32 may be from [`AttentionCase::exact`]: a score's rounding error,
    /// relative to its largest product sum, is a relative error of its weight.
    pub fn bound(&self) -> f64 {
        1e-5 + 4e-6 * f64::from(self.shape.size)
    }

    /// The cells that a token sees.
    fn seen(&self, stream: usize, token: usize) -> impl Iterator<Item = usize> {
        let cells = self.shape.cells;
        let row = (stream * self.shape.tokens + token) * cells;
        (0..cells).filter(move |cell| self.mask.as_ref().is_none_or(|mask| mask[row + cell] != HIDDEN))
    }

    fn exact_head(&self, stream: usize, token: usize, head: usize) -> Vec<f64> {
        let shape = &self.shape;
        let at = ((stream * shape.tokens + token) * shape.heads() + head) * shape.dim;
        let query = &self.q[at..][..shape.dim];
        let row = |cell| (stream * shape.cells + cell) * shape.kv_heads + head / shape.group;
        let score = |cell| -> f64 {
            let key = self.k.numbers(row(cell));
            let products = key.iter().zip(query).map(|(k, q)| k * f64::from(*q));
            products.sum::<f64>() * f64::from(SCALE)
        };
        let scores: Vec<(usize, f64)> = self.seen(stream, token).map(|cell| (cell, score(cell))).collect();
        let most = scores
            .iter()
            .fold(f64::NEG_INFINITY, |most, (_, score)| most.max(*score));
        let mut sums = vec![0.0; shape.dim];
        let mut total = 0.0;
        for (cell, score) in scores {
            let weight = (score - most).exp();
            total += weight;
            for (sum, value) in sums.iter_mut().zip(self.v.numbers(row(cell))) {
                *sum += weight * value;
            }
        }
        sums.iter()
            .map(|sum| if total == 0.0 { 0.0 } else { sum / total })
            .collect()
    }
}

impl Shape {
    fn heads(&self) -> usize {
        self.kv_heads * self.group
    }
}

impl Stored {
    /// Numbers in -1..1 for `shape`.
    fn noise(format: CacheFormat, shape: &Shape, noise: &mut Noise) -> Self {
        let row = format.row_bytes(shape.dim);
        let mut bytes = vec![0; shape.streams * shape.cells * shape.kv_heads * row];
        // An exponent for which the largest level is below 1.
        let (block, step) = match format {
            CacheFormat::F16 => (2, None),
            CacheFormat::Q8_0 => (34, Some(7)),
            CacheFormat::Q4_0 => (18, Some(11)),
        };
        for block in bytes.chunks_mut(block) {
            let bits = noise.bits();
            let exponent = step.unwrap_or(10 + (bits >> 32) as u16 % 5);
            let half = bits as u16 & 0x83ff | exponent << 10;
            block.fill_with(|| noise.bits() as u8);
            block[..2].copy_from_slice(&half.to_ne_bytes());
        }
        Self { format, row, bytes }
    }

    /// The numbers of row `row`, computed from the definitions of the formats.
    fn numbers(&self, row: usize) -> Vec<f64> {
        let bytes = &self.bytes[row * self.row..][..self.row];
        match self.format {
            CacheFormat::F16 => bytes.chunks(2).map(half).collect(),
            CacheFormat::Q8_0 => {
                let block = |block: &[u8]| -> Vec<f64> {
                    let levels = block[2..].iter().map(|level| f64::from(*level as i8));
                    levels.map(|level| level * half(block)).collect()
                };
                bytes.chunks(34).flat_map(block).collect()
            }
            CacheFormat::Q4_0 => {
                let block = |block: &[u8]| -> Vec<f64> {
                    let levels = block[2..].iter().map(|byte| byte & 15);
                    let levels = levels.chain(block[2..].iter().map(|byte| byte >> 4));
                    levels
                        .map(|level| (f64::from(level) - 8.0) * half(block))
                        .collect()
                };
                bytes.chunks(18).flat_map(block).collect()
            }
        }
    }
}

/// The normal f16 number that `bytes` start with.
fn half(bytes: &[u8]) -> f64 {
    let bits = u16::from_ne_bytes([bytes[0], bytes[1]]);
    let size = f64::from(bits & 0x3ff | 0x400) * 2f64.powi(i32::from(bits >> 10 & 31) - 25);
    if bits & 0x8000 == 0 { size } else { -size }
}
