//! Instruction sets and SIMD lanes.
//!
//! Each kernel is written once: as a plain loop that the compiler vectorises for the chosen instruction set
//! ([`Isa::each`]), or, if it processes sub-blocks side by side, as arithmetic on [`Lanes`]. All intrinsics
//! are in the crate `pulp`; nothing here is `unsafe`.
//!
//! Code is compiled for an instruction set only if it is inlined into the function that [`Isa::run`] calls.
//! Kernels are therefore trait methods and functions marked `#[inline(always)]`, called by name: functions
//! passed as values, and the standard library's `map` on arrays, may not be inlined.

use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use pulp::{Scalar128b, Simd, WithSimd};

/// An instruction set of this machine: AVX-512, AVX2, NEON, or portable code.
#[derive(Clone, Copy, Debug)]
pub struct Isa(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    /// Arrays of four, which the compiler turns into the vectors that the target always has.
    Portable,
}

impl Isa {
    /// The widest instruction set of this machine.
    #[inline]
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(v4) = pulp::x86::V4::try_new() {
            return Self(Kind::Avx512(v4));
        } else if let Some(v3) = pulp::x86::V3::try_new() {
            return Self(Kind::Avx2(v3));
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(neon) = pulp::aarch64::Neon::try_new() {
            return Self(Kind::Neon(neon));
        }
        Self(Kind::Portable)
    }

    /// All instruction sets of this machine, widest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V4::try_new().map(Kind::Avx512));
            all.extend(pulp::x86::V3::try_new().map(Kind::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(Kind::Neon));
        all.push(Kind::Portable);
        all.into_iter().map(Self)
    }

    #[inline(always)]
    pub(super) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(simd) => Simd::vectorize(simd, op),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(simd) => Simd::vectorize(simd, op),
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(simd) => Simd::vectorize(simd, op),
            Kind::Portable => Simd::vectorize(Scalar128b, op),
        }
    }
}

/// The body of a loop over items, compiled for each instruction set.
pub(super) trait Step {
    /// Type of the input items.
    type From;
    /// Type of the output items.
    type To;

    /// Must be marked `#[inline(always)]`: if it is not inlined, it is compiled for the target's baseline
    /// instruction set.
    fn step(from: &Self::From, to: &mut Self::To);
}

impl Isa {
    /// Applies the step `K` from each item of `src` to the item of `dst` with the same index.
    pub(super) fn each<K: Step>(self, src: &[K::From], dst: &mut [K::To]) {
        self.run(Each::<K> { src, dst });
    }
}

struct Each<'a, K: Step> {
    src: &'a [K::From],
    dst: &'a mut [K::To],
}

impl<K: Step> WithSimd for Each<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (from, to) in self.src.iter().zip(self.dst) {
            K::step(from, to);
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon(_) => "neon",
            Kind::Portable => "portable",
        })
    }
}

/// Number of vectors that are processed together: the sums of a search are chains of dependent additions, and
/// two independent chains hide half of the latency.
const VECTORS: usize = 2;

/// Applies a vector operation to each of the vectors.
macro_rules! each {
    ($i:ident => $e:expr) => {
        [
            {
                let $i = 0;
                $e
            },
            {
                let $i = 1;
                $e
            },
        ]
    };
}

/// Number of sub-blocks next to each other in a [`Tile`]: a whole number of [`Lanes`] on every instruction
/// set.
pub(super) const WIDTH: usize = 32;

/// `WIDTH` sub-blocks of `LEN` weights, transposed: row i contains weight i of each sub-block.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Tile<const LEN: usize>([[f32; WIDTH]; LEN]);

impl<const LEN: usize> Tile<LEN> {
    /// Creates a tile of up to `WIDTH` sub-blocks; the remaining lanes are zeros.
    #[inline(always)]
    pub(super) fn new(blocks: &[[f32; LEN]]) -> Self {
        let mut tile = [[0.0; WIDTH]; LEN];
        for (lane, block) in blocks.iter().take(WIDTH).enumerate() {
            for (row, v) in tile.iter_mut().zip(block) {
                row[lane] = *v;
            }
        }
        Self(tile)
    }

    /// Returns the `part`-th [`Lanes`] of every row.
    #[inline(always)]
    pub(super) fn column<S: Simd>(&self, simd: S, part: usize) -> [Lanes<S>; LEN] {
        let mut column = [Lanes::splat(simd, 0.0); LEN];
        for (lanes, row) in column.iter_mut().zip(&self.0) {
            lanes.1 = S::as_simd_f32s(row).0.as_chunks().0[part];
        }
        column
    }
}

/// Number of [`Lanes`] in `WIDTH` lanes.
#[inline(always)]
pub(super) fn parts<S: Simd>() -> usize {
    WIDTH / (VECTORS * S::F32_LANES)
}

/// Several vectors of f32. Each lane computes as a scalar f32 does: nothing is fused or reordered.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd>(S, [S::f32s; VECTORS]);

/// A boolean for each lane.
#[derive(Clone, Copy)]
pub(super) struct Mask<S: Simd>(S, [S::m32s; VECTORS]);

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(super) fn splat(simd: S, v: f32) -> Self {
        Self(simd, [simd.splat_f32s(v); VECTORS])
    }

    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        Self(self.0, each!(i => self.0.min_f32s(self.1[i], other.1[i])))
    }

    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        Self(self.0, each!(i => self.0.max_f32s(self.1[i], other.1[i])))
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        Self(self.0, each!(i => self.0.abs_f32s(self.1[i])))
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        Self(self.0, each!(i => self.0.sqrt_f32s(self.1[i])))
    }

    /// Rounds to the nearest integer, ties to even, for magnitudes below 2^22.
    #[inline(always)]
    pub(super) fn nearest(self) -> Self {
        let shift = Self::splat(self.0, 12_582_912.0);
        (self + shift) - shift
    }

    #[inline(always)]
    pub(super) fn lt(self, other: Self) -> Mask<S> {
        Mask(self.0, each!(i => self.0.less_than_f32s(self.1[i], other.1[i])))
    }

    #[inline(always)]
    pub(super) fn eq(self, other: Self) -> Mask<S> {
        Mask(self.0, each!(i => self.0.equal_f32s(self.1[i], other.1[i])))
    }

    /// Loads the `part`-th lanes of `row`.
    #[inline(always)]
    pub(super) fn load(simd: S, row: &[f32; WIDTH], part: usize) -> Self {
        Self(simd, S::as_simd_f32s(row).0.as_chunks().0[part])
    }

    /// Stores the lanes as the `part`-th lanes of `row`.
    #[inline(always)]
    pub(super) fn store(self, row: &mut [f32; WIDTH], part: usize) {
        S::as_mut_simd_f32s(row).0.as_chunks_mut().0[part] = self.1;
    }
}

impl<S: Simd> Mask<S> {
    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<S>, no: Lanes<S>) -> Lanes<S> {
        Lanes(
            self.0,
            each!(i => self.0.select_f32s(self.1[i], yes.1[i], no.1[i])),
        )
    }

    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0, each!(i => self.0.and_m32s(self.1[i], other.1[i])))
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident $pulp:ident),*) => {$(
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0, each!(i => self.0.$pulp(self.1[i], other.1[i])))
            }
        }
    )*};
}

operator!(Add add add_f32s, Sub sub sub_f32s, Mul mul mul_f32s, Div div div_f32s);
