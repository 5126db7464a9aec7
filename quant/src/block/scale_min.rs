//! Code that `q4_K` and `q5_K` share: 8 sub-blocks of 32 weights, each with a 6-bit scale and a 6-bit
//! minimum.
//!
//! weight = d * scale * level - dmin * min; all eight share the f16 `d` and `dmin`.
//!
//! The search is ggml's. It starts from the extremes of a sub-block and tries a ladder of slightly wider and
//! narrower steps above the best minimum so far. For each step, it fits scale and minimum by weighted least
//! squares; the fit with the least weighted error wins. Each sub-block is a SIMD lane, so every sum runs in
//! the order of a scalar loop, and the result is bit-identical to ggml's.

use pulp::{Simd, WithSimd};

use super::SUPER;
use super::bits::{Half, float, from_fn, half, map, nearest};
use super::lanes::{Isa, Lanes, Tile, WIDTH, parts};

/// Weights per sub-block.
pub(super) const SUB: usize = 32;
/// Sub-blocks per super-block.
pub(super) const SUBS: usize = SUPER / SUB;

/// The ladder of inverse steps that a format tries: `(top + first + 0.1 * i) / (max - min)` for i in
/// `0..=last`.
pub(super) struct Ladder {
    /// The highest level.
    pub(super) top: f32,
    pub(super) first: f32,
    pub(super) last: u8,
}

/// The data that the eight sub-blocks of a super-block share, with the layout of a file.
#[derive(Clone, Copy, bytemuck::AnyBitPattern, bytemuck::NoUninit)]
#[repr(C)]
pub(super) struct Header {
    d: Half,
    dmin: Half,
    /// Eight scales and eight minimums of 6 bits each.
    packed: [u8; 12],
}

impl Header {
    pub(super) fn new(d: Half, dmin: Half, scales: [u8; SUBS], mins: [u8; SUBS]) -> Self {
        let mut packed = [0; 12];
        for i in 0..4 {
            packed[i] = scales[i] | (scales[i + 4] >> 4) << 6;
            packed[i + 4] = mins[i] | (mins[i + 4] >> 4) << 6;
            packed[i + 8] = (scales[i + 4] & 15) | (mins[i + 4] & 15) << 4;
        }
        Self { d, dmin, packed }
    }

    /// Scale and minimum of each sub-block: weight = scale * level - minimum.
    #[inline(always)]
    pub(super) fn steps(&self) -> [(f32, f32); SUBS] {
        let (d, dmin, p) = (float(self.d), float(self.dmin), &self.packed);
        from_fn(|i| {
            let (scale, min) = match i {
                0..4 => (p[i] & 63, p[i + 4] & 63),
                _ => (
                    (p[i + 4] & 15) | (p[i - 4] >> 6) << 4,
                    (p[i + 4] >> 4) | (p[i] >> 6) << 4,
                ),
            };
            (d * f32::from(scale), dmin * f32::from(min))
        })
    }
}

/// A format of this family: `q4_K` or `q5_K`.
pub(super) trait Format: Copy {
    /// The ladder of steps that the search tries.
    const LADDER: Ladder;

    /// Packs a super-block with these levels; implementations must be marked `#[inline(always)]`.
    fn pack(header: Header, levels: &[u8; SUPER]) -> Self;
}

/// Quantizes super-blocks of `src` to blocks of `dst`.
pub(super) fn quantize<B: Format>(isa: Isa, src: &[[f32; SUPER]], dst: &mut [B]) {
    isa.run(Rows { src, dst });
}

struct Rows<'a, B> {
    src: &'a [[f32; SUPER]],
    dst: &'a mut [B],
}

impl<B: Format> WithSimd for Rows<'_, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const AT_ONCE: usize = WIDTH / SUBS;
        for (supers, blocks) in self.src.chunks(AT_ONCE).zip(self.dst.chunks_mut(AT_ONCE)) {
            let fits = search(simd, supers.as_flattened().as_chunks().0, &B::LADDER);
            for ((x, fits), block) in supers.iter().zip(fits.as_chunks().0).zip(blocks) {
                let (header, levels) = encode(x, fits, B::LADDER.top as i32);
                *block = B::pack(header, &levels);
            }
        }
    }
}

/// Result of the search for one sub-block: weight ~ scale * level + min, level ~ inverse * (weight - base).
#[derive(Clone, Copy, Default)]
struct Fit {
    scale: f32,
    /// Zero or negative.
    min: f32,
    inverse: f32,
    base: f32,
}

#[inline(always)]
fn search<S: Simd>(simd: S, blocks: &[[f32; SUB]], ladder: &Ladder) -> [Fit; WIDTH] {
    let tile = Tile::new(blocks);
    let mut out = [[0.0; WIDTH]; 4];
    for part in 0..parts::<S>() {
        let fit = search_lanes(simd, &tile.column(simd, part), ladder);
        for (row, lanes) in out.iter_mut().zip(fit) {
            lanes.store(row, part);
        }
    }
    from_fn(|i| Fit {
        scale: out[0][i],
        min: out[1][i],
        inverse: out[2][i],
        base: out[3][i],
    })
}

/// Returns scale, minimum, inverse and base, with one sub-block per lane.
#[inline(always)]
fn search_lanes<S: Simd>(simd: S, x: &[Lanes<S>; SUB], ladder: &Ladder) -> [Lanes<S>; 4] {
    let splat = |v| Lanes::splat(simd, v);
    let zero = splat(0.0);
    let top = splat(ladder.top);

    let mut energy = zero;
    for &x in x {
        energy = energy + x * x;
    }
    let typical = (energy / splat(SUB as f32)).sqrt();
    let mut w = [zero; SUB];
    for (w, x) in w.iter_mut().zip(x) {
        *w = typical + x.abs();
    }
    let (mut sum_w, mut sum_x, mut low, mut high) = (zero, zero, zero, x[0]);
    for (&x, &w) in x.iter().zip(&w) {
        sum_w = sum_w + w;
        sum_x = sum_x + w * x;
        low = low.min(x);
        high = high.max(x);
    }
    let flat = low.eq(high);

    let mut inverse = top / (high - low);
    let (mut scale, mut min, mut base) = (splat(1.0) / inverse, low, low);
    let mut best = zero;
    for (&x, &w) in x.iter().zip(&w) {
        let off = (scale * (inverse * (x - low)).min(top).nearest() + low) - x;
        best = best + w * (off * off);
    }

    let mut levels = [zero; SUB];
    for step in 0..=ladder.last {
        let try_inverse = splat(ladder.first + 0.1 * f32::from(step) + ladder.top) / (high - min);
        let (mut sum_l, mut sum_l2, mut sum_xl) = (zero, zero, zero);
        for ((&x, &w), level) in x.iter().zip(&w).zip(&mut levels) {
            let l = (try_inverse * (x - min)).max(zero).min(top).nearest();
            let wl = w * l;
            sum_l = sum_l + wl;
            sum_l2 = sum_l2 + wl * l;
            sum_xl = sum_xl + wl * x;
            *level = l;
        }
        let det = sum_w * sum_l2 - sum_l * sum_l;
        let free_min = (sum_l2 * sum_x - sum_l * sum_xl) / det;
        let free_scale = (sum_w * sum_xl - sum_x * sum_l) / det;
        let positive = zero.lt(free_min);
        let try_min = positive.select(zero, free_min);
        let try_scale = positive.select(sum_xl / sum_l2, free_scale);
        let mut error = zero;
        for ((&x, &w), &l) in x.iter().zip(&w).zip(&levels) {
            let off = (try_scale * l + try_min) - x;
            error = error + w * (off * off);
        }
        let better = zero.lt(det).and(error.lt(best));
        best = better.select(error, best);
        scale = better.select(try_scale, scale);
        base = better.select(min, base);
        min = better.select(try_min, min);
        inverse = better.select(try_inverse, inverse);
    }
    // If all weights of a sub-block are equal (and not above 0), the minimum alone represents them.
    [
        flat.select(zero, scale),
        flat.select(low, min),
        flat.select(zero, inverse),
        base,
    ]
}

/// Rounds scales and minimums to 6 bits and computes the matching levels.
#[inline(always)]
fn encode(x: &[f32; SUPER], fits: &[Fit; SUBS], top: i32) -> (Header, [u8; SUPER]) {
    let max_scale = fits
        .iter()
        .fold(0.0, |max, fit| if fit.scale > max { fit.scale } else { max });
    let max_min = fits
        .iter()
        .fold(0.0, |max, fit| if -fit.min > max { -fit.min } else { max });
    let inverse = |max: f32| if max > 0.0 { 63.0 / max } else { 0.0 };
    let (inv_scale, inv_min) = (inverse(max_scale), inverse(max_min));
    let six_bits = |v: f32| (nearest(v) as u8).min(63);
    let header = Header::new(
        half(max_scale / 63.0),
        half(max_min / 63.0),
        map(fits, |fit| six_bits(inv_scale * fit.scale)),
        map(fits, |fit| six_bits(inv_min * -fit.min)),
    );

    let mut levels = [0; SUPER];
    let subs = x.as_chunks::<SUB>().0.iter().zip(levels.as_chunks_mut::<SUB>().0);
    for (((x, levels), (scale, min)), fit) in subs.zip(header.steps()).zip(fits) {
        if scale != 0.0 {
            *levels = map(x, |v| nearest((v + min) / scale).clamp(0, top) as u8);
        } else {
            // The scale is 0, so the levels do not change the weights; ggml writes the levels of the search.
            *levels = map(x, |v| nearest(fit.inverse * (v - fit.base)).clamp(0, top) as u8);
        }
    }
    (header, levels)
}
