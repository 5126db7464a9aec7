//! Instruction sets and SIMD lanes.
//!
//! Kernels are written once: plain loops that the compiler vectorises for the chosen instruction set
//! ([`Isa::run`] over a closure), and, where sub-blocks lie side by side, arithmetic on [`Lanes`]. The crate `pulp`
//! holds all the intrinsics; nothing here is `unsafe`.

use std::fmt;
use std::ops::{Add, Div, Mul, Sub};

use pulp::{Arch, Simd, WithSimd};

/// An instruction set that this machine has: AVX-512, AVX2, NEON, or plain code.
#[derive(Clone, Copy, Debug)]
pub struct Isa(Arch);

impl Isa {
    /// The widest one of this machine.
    #[inline]
    pub fn best() -> Self {
        Self(Arch::new())
    }

    /// Every one of this machine, widest first.
    pub fn available() -> impl Iterator<Item = Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(pulp::x86::V4::try_new().map(Arch::V4));
            all.extend(pulp::x86::V3::try_new().map(Arch::V3));
        }
        #[cfg(target_arch = "aarch64")]
        all.extend(pulp::aarch64::Neon::try_new().map(Arch::Neon));
        all.push(Arch::Scalar);
        all.into_iter().map(Self)
    }

    #[inline(always)]
    pub(super) fn run<Op: WithSimd>(self, op: Op) -> Op::Output {
        self.0.dispatch(op)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => "neon",
            _ => "portable",
        })
    }
}

/// How many sub-blocks lie side by side in a [`Tile`]: a whole number of vectors on every instruction set.
pub(super) const WIDTH: usize = 16;

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

    /// The `part`-th vector of every row.
    #[inline(always)]
    pub(super) fn column<S: Simd>(&self, simd: S, part: usize) -> [Lanes<S>; LEN] {
        std::array::from_fn(|i| Lanes(simd, S::as_simd_f32s(&self.0[i]).0[part]))
    }
}

/// How many vectors make up `WIDTH` lanes.
#[inline(always)]
pub(super) fn parts<S: Simd>() -> usize {
    WIDTH / S::F32_LANES
}

/// One vector of f32, with the arithmetic of each lane that of a lone f32: nothing is fused or reordered, except in
/// `Lanes::about`.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd>(S, S::f32s);

/// A yes or no for each lane.
#[derive(Clone, Copy)]
pub(super) struct Mask<S: Simd>(S, S::m32s);

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub(super) fn splat(simd: S, v: f32) -> Self {
        Self(simd, simd.splat_f32s(v))
    }

    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        Self(self.0, self.0.min_f32s(self.1, other.1))
    }

    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        Self(self.0, self.0.max_f32s(self.1, other.1))
    }

    #[inline(always)]
    pub(super) fn abs(self) -> Self {
        Self(self.0, self.0.abs_f32s(self.1))
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        Self(self.0, self.0.sqrt_f32s(self.1))
    }

    /// The nearest whole number, ties to even, for magnitudes below 2^22.
    #[inline(always)]
    pub(super) fn nearest(self) -> Self {
        let shift = Self::splat(self.0, 12_582_912.0);
        (self + shift) - shift
    }

    #[inline(always)]
    pub(super) fn lt(self, other: Self) -> Mask<S> {
        Mask(self.0, self.0.less_than_f32s(self.1, other.1))
    }

    #[inline(always)]
    pub(super) fn eq(self, other: Self) -> Mask<S> {
        Mask(self.0, self.0.equal_f32s(self.1, other.1))
    }

    /// Writes the lanes to the `part`-th vector of `row`.
    #[inline(always)]
    pub(super) fn store(self, row: &mut [f32; WIDTH], part: usize) {
        S::as_mut_simd_f32s(row).0[part] = self.1;
    }
}

impl<S: Simd> Mask<S> {
    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<S>, no: Lanes<S>) -> Lanes<S> {
        Lanes(self.0, self.0.select_f32s(self.1, yes.1, no.1))
    }

    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0, self.0.and_m32s(self.1, other.1))
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident $pulp:ident),*) => {$(
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0, self.0.$pulp(self.1, other.1))
            }
        }
    )*};
}

operator!(Add add add_f32s, Sub sub sub_f32s, Mul mul mul_f32s, Div div div_f32s);
