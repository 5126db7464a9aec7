//! Instruction sets and SIMD lanes.
//!
//! Kernels are written once: plain loops that the compiler vectorises for the chosen instruction set
//! ([`Isa::each`]), and, where sub-blocks lie side by side, arithmetic on [`Lanes`]. The crate `pulp` holds all the
//! intrinsics; nothing here is `unsafe`.
//!
//! Code runs on an instruction set only where it is inlined into [`Isa::run`]'s callee, so kernels are methods of
//! traits and functions marked `#[inline(always)]`, called by name: a function passed as a value, and the standard
//! library's `map` on arrays, may stay calls.

use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use pulp::{Scalar128b, Simd, WithSimd};

/// An instruction set that this machine has: AVX-512, AVX2, NEON, or plain code.
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
    /// Arrays of four, which compilers turn into whatever vectors the target always has.
    Portable,
}

impl Isa {
    /// The widest one of this machine.
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

    /// Every one of this machine, widest first.
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

/// What a loop does with each item, compiled for each instruction set.
pub(super) trait Step {
    /// What is read.
    type From;
    /// What is written.
    type To;

    /// Must be marked `#[inline(always)]`: what stays a call is compiled for the target's least instruction set.
    fn step(from: &Self::From, to: &mut Self::To);
}

impl Isa {
    /// Does a step from each of `src` to its place in `dst`.
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

/// Vectors that are worked on side by side: the sums of a search are chains of dependent additions, and two
/// independent chains hide half of the wait.
const VECTORS: usize = 2;

/// A vector operation on each of the vectors.
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

/// How many sub-blocks lie side by side in a [`Tile`]: a whole number of [`Lanes`] on every instruction set.
pub(super) const WIDTH: usize = 32;

/// `WIDTH` sub-blocks of `LEN` weights, transposed: row i holds weight i of each.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Tile<const LEN: usize>([[f32; WIDTH]; LEN]);

impl<const LEN: usize> Tile<LEN> {
    /// A tile of up to `WIDTH` sub-blocks; the places left are zeros.
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

    /// The `part`-th [`Lanes`] of every row.
    #[inline(always)]
    pub(super) fn column<S: Simd>(&self, simd: S, part: usize) -> [Lanes<S>; LEN] {
        let mut column = [Lanes::splat(simd, 0.0); LEN];
        for (lanes, row) in column.iter_mut().zip(&self.0) {
            lanes.1 = S::as_simd_f32s(row).0.as_chunks().0[part];
        }
        column
    }
}

/// How many [`Lanes`] make up `WIDTH` lanes.
#[inline(always)]
pub(super) fn parts<S: Simd>() -> usize {
    WIDTH / (VECTORS * S::F32_LANES)
}

/// Some vectors of f32, with the arithmetic of each lane that of a lone f32: nothing is fused or reordered.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd>(S, [S::f32s; VECTORS]);

/// A yes or no for each lane.
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

    /// The nearest whole number, ties to even, for magnitudes below 2^22.
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

    /// The `part`-th lanes of `row`.
    #[inline(always)]
    pub(super) fn load(simd: S, row: &[f32; WIDTH], part: usize) -> Self {
        Self(simd, S::as_simd_f32s(row).0.as_chunks().0[part])
    }

    /// Writes the lanes to the `part`-th place of `row`.
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
