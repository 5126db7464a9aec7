//! NEON with the 8-bit dot product: four rows at a time.
//!
//! CPUs with the 8-bit matrix product (`i8mm`) use these kernels too: half as many multiplications would save fewer than
//! a fifth of the instructions with four or eight columns (counted on paper, q4_K), and needs columns in pairs.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::Format;
use crate::product::Run;
use crate::tile::{Simd, Starts};

/// The kernel for `format`.
pub(crate) fn kernel(format: Format) -> Run {
    crate::kernel::runs!(
        format,
        Neon<Words>,
        crate::attention::lanes::Neon,
        "neon,dotprod,fp16"
    )
}

/// How a register of levels is arranged.
///
/// # Safety
/// As [`Simd`].
pub(crate) trait Arrangement {
    /// As [`Simd::Sum`].
    type Sum: Copy;
    /// The row and the number of a level among sixteen: that of a byte of a register.
    fn level(register: usize, byte: usize) -> (usize, usize);
    /// As [`Simd::levels`]. SAFETY: as there.
    unsafe fn levels(rows: &Starts, at: usize) -> [uint32x4_t; 4];
    /// As [`Simd::start`]. SAFETY: as there.
    unsafe fn start(x: i32) -> Self::Sum;
    /// As [`Simd::dots`]. SAFETY: as there.
    unsafe fn dots(sum: Self::Sum, levels: &[uint32x4_t; 4], x: int8x16_t) -> Self::Sum;
    /// As [`Simd::total`]. SAFETY: as there.
    unsafe fn total(sum: Self::Sum) -> int32x4_t;
}

/// Four bytes of each row.
pub(crate) struct Words;

impl Arrangement for Words {
    type Sum = int32x4_t;

    #[inline(always)]
    fn level(register: usize, byte: usize) -> (usize, usize) {
        (byte / 4, 4 * register + byte % 4)
    }
    #[inline(always)]
    unsafe fn levels(rows: &Starts, at: usize) -> [uint32x4_t; 4] {
        // SAFETY: the caller's promise.
        unsafe { transpose(rows, at) }
    }
    #[inline(always)]
    unsafe fn start(x: i32) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vdupq_n_s32(x) }
    }
    #[inline(always)]
    unsafe fn dots(sum: int32x4_t, levels: &[uint32x4_t; 4], x: int8x16_t) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = dot_lane::<0>(sum, levels[0], x);
            let sum = dot_lane::<1>(sum, levels[1], x);
            let sum = dot_lane::<2>(sum, levels[2], x);
            dot_lane::<3>(sum, levels[3], x)
        }
    }
    #[inline(always)]
    unsafe fn total(sum: int32x4_t) -> int32x4_t {
        sum
    }
}

/// Sixteen bytes of one row. With one column this is faster: adding the lanes of sums takes less than bringing
/// the words of the rows together.
pub(crate) struct Rows;

impl Arrangement for Rows {
    /// The lanes of each register add up to the sum of a row.
    type Sum = [int32x4_t; 4];

    #[inline(always)]
    fn level(register: usize, byte: usize) -> (usize, usize) {
        (register, byte)
    }
    #[inline(always)]
    unsafe fn levels(rows: &Starts, at: usize) -> [uint32x4_t; 4] {
        // SAFETY: the caller's promise.
        unsafe { each_row(rows, at) }
    }
    #[inline(always)]
    unsafe fn start(x: i32) -> [int32x4_t; 4] {
        // SAFETY: the caller's promise.
        unsafe { [vsetq_lane_s32::<0>(x, vdupq_n_s32(0)); 4] }
    }
    #[inline(always)]
    unsafe fn dots(sum: [int32x4_t; 4], levels: &[uint32x4_t; 4], x: int8x16_t) -> [int32x4_t; 4] {
        let [a, b, c, d] = *levels;
        // SAFETY: the caller's promise.
        unsafe {
            [
                dot(sum[0], a, x),
                dot(sum[1], b, x),
                dot(sum[2], c, x),
                dot(sum[3], d, x),
            ]
        }
    }
    #[inline(always)]
    unsafe fn total(sum: [int32x4_t; 4]) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { settled(vpaddq_s32(vpaddq_s32(sum[0], sum[1]), vpaddq_s32(sum[2], sum[3]))) }
    }
}

/// Registers of 128 bits.
pub(crate) struct Neon<A>(std::marker::PhantomData<A>);

/// Sixteen bytes of each row.
///
/// # Safety
/// A CPU with NEON; the rows have the bytes.
#[inline(always)]
unsafe fn each_row(rows: &Starts, at: usize) -> [uint32x4_t; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let row = |row: usize| vreinterpretq_u32_u8(vld1q_u8(rows[row].add(at)));
        [row(0), row(1), row(2), row(3)]
    }
}

/// As [`Simd::transpose`].
///
/// # Safety
/// A CPU with NEON; the rows have the bytes.
#[inline(always)]
unsafe fn transpose(rows: &Starts, at: usize) -> [uint32x4_t; 4] {
    // The compiler must not know these instructions: it would make two of some, and stores of the others that
    // write their parts one by one.
    macro_rules! zip {
        ($instruction:literal, $a:expr, $b:expr) => {{
            let zipped: uint32x4_t;
            asm!(
                concat!($instruction, " {0:v}.4s, {1:v}.4s, {2:v}.4s"),
                out(vreg) zipped, in(vreg) $a, in(vreg) $b,
                options(pure, nomem, nostack, preserves_flags)
            );
            zipped
        }};
    }
    // SAFETY: the caller's promise.
    unsafe {
        let [a, b, c, d] = each_row(rows, at);
        let (even, odd) = (vzip1q_u32(a, c), vzip1q_u32(b, d));
        let (even2, odd2) = (vzip2q_u32(a, c), vzip2q_u32(b, d));
        [
            zip!("zip1", even, odd),
            zip!("zip2", even, odd),
            zip!("zip1", even2, odd2),
            zip!("zip2", even2, odd2),
        ]
    }
}

/// Moves byte `from` of each lane to bit `to`; the rest is zero.
///
/// # Safety
/// A CPU with NEON.
#[inline(always)]
unsafe fn move_byte(word: uint32x4_t, to: u32, from: u32) -> uint32x4_t {
    // Places that do not exist give zero.
    let others = !(0xff << to);
    let places = [from, from + 4, from + 8, from + 12].map(|place| place << to | others);
    // SAFETY: the caller's promise; four places.
    unsafe {
        let places = vreinterpretq_u8_u32(vld1q_u32(places.as_ptr()));
        vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(word), places))
    }
}

/// Adds the products of four levels of every row with four activations, number `LANE` of `x`, to `sum`:
/// `vdotq_laneq_s32`, which Rust has not stabilised.
///
/// # Safety
/// A CPU with `dotprod`.
#[inline(always)]
unsafe fn dot_lane<const LANE: i32>(sum: int32x4_t, levels: uint32x4_t, x: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: one instruction on registers only.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.4b[{lane}]",
            inout(vreg) sum, in(vreg) levels, in(vreg) x, lane = const LANE,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// Makes the compiler compute `x` here: else it puts off the additions of lanes, and runs out of registers.
///
/// # Safety
/// Any CPU with NEON.
#[inline(always)]
unsafe fn settled(x: int32x4_t) -> int32x4_t {
    let mut x = x;
    // SAFETY: contains no instruction.
    unsafe { asm!("/* {0:v} */", inout(vreg) x, options(nomem, nostack, preserves_flags)) };
    x
}

/// Adds the products of sixteen levels of a row with sixteen activations to the lanes of `sum`: `vdotq_s32`.
///
/// # Safety
/// A CPU with `dotprod`.
#[inline(always)]
unsafe fn dot(sum: int32x4_t, levels: uint32x4_t, x: int8x16_t) -> int32x4_t {
    let mut sum = sum;
    // SAFETY: one instruction on registers only.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sum, in(vreg) levels, in(vreg) x,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

// SAFETY, of all blocks here: the trait's promise.
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "one argument stands above for all of them"
)]
impl<A: Arrangement> Simd for Neon<A> {
    type V = uint32x4_t;
    type F = float32x4_t;
    type Sum = A::Sum;
    type Alone = Neon<Rows>;
    const DIRECT: usize = 4;
    const ROWS: usize = 4;
    const EXCESS: u8 = 0;

    #[inline(always)]
    unsafe fn splat(x: u32) -> uint32x4_t {
        unsafe { vdupq_n_u32(x) }
    }
    #[inline(always)]
    unsafe fn and(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        unsafe { vandq_u32(a, b) }
    }
    #[inline(always)]
    unsafe fn or(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        unsafe { vorrq_u32(a, b) }
    }
    #[inline(always)]
    unsafe fn shr<const N: u32>(a: uint32x4_t) -> uint32x4_t {
        unsafe { vshlq_u32(a, vdupq_n_s32(-(N as i32))) }
    }
    #[inline(always)]
    unsafe fn shl<const N: u32>(a: uint32x4_t) -> uint32x4_t {
        unsafe { vshlq_u32(a, vdupq_n_s32(N as i32)) }
    }
    #[inline(always)]
    unsafe fn sar<const N: u32>(a: uint32x4_t) -> uint32x4_t {
        unsafe { vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(a), vdupq_n_s32(-(N as i32)))) }
    }
    #[inline(always)]
    unsafe fn add(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        unsafe { vaddq_u32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
        unsafe { vmulq_u32(a, b) }
    }

    #[inline(always)]
    unsafe fn shr_bytes<const N: u32>(a: uint32x4_t) -> uint32x4_t {
        unsafe { vreinterpretq_u32_u8(vshlq_u8(vreinterpretq_u8_u32(a), vdupq_n_s8(-(N as i8)))) }
    }
    #[inline(always)]
    unsafe fn join_low(low: uint32x4_t, high: uint32x4_t, mask: u32) -> uint32x4_t {
        unsafe {
            let (low, high) = (vreinterpretq_u8_u32(low), vreinterpretq_u8_u32(high));
            vandq_u32(
                vreinterpretq_u32_u8(vsliq_n_u8::<4>(low, high)),
                vdupq_n_u32(mask),
            )
        }
    }
    #[inline(always)]
    unsafe fn join_high(low: uint32x4_t, high: uint32x4_t, mask: u32) -> uint32x4_t {
        unsafe {
            let (low, high) = (vreinterpretq_u8_u32(low), vreinterpretq_u8_u32(high));
            vandq_u32(
                vreinterpretq_u32_u8(vsriq_n_u8::<4>(high, low)),
                vdupq_n_u32(mask),
            )
        }
    }
    #[inline(always)]
    unsafe fn bytes(word: uint32x4_t) -> [uint32x4_t; 4] {
        unsafe {
            let byte = |at: u32| move_byte(word, 0, at);
            [
                vandq_u32(word, vdupq_n_u32(0xff)),
                byte(1),
                byte(2),
                vshrq_n_u32::<24>(word),
            ]
        }
    }
    #[inline(always)]
    unsafe fn transpose(rows: &Starts, at: usize) -> [uint32x4_t; 4] {
        unsafe { transpose(rows, at) }
    }
    #[inline(always)]
    unsafe fn levels(rows: &Starts, at: usize) -> [uint32x4_t; 4] {
        unsafe { A::levels(rows, at) }
    }
    #[inline(always)]
    unsafe fn add_fifth(levels: [uint32x4_t; 4], bits: uint32x4_t, half: usize) -> [uint32x4_t; 4] {
        unsafe {
            let mut sums = levels;
            for (i, sum) in sums.iter_mut().enumerate() {
                // For each byte, the byte of `bits` that has its bit, and the bit.
                let (mut places, mut masks) = ([0u8; 16], [0u8; 16]);
                for byte in 0..16 {
                    let (row, level) = A::level(i, byte);
                    places[byte] = (4 * row + 2 * half + level / 8) as u8;
                    masks[byte] = 1 << (level % 8);
                }
                let bytes = vqtbl1q_u8(vreinterpretq_u8_u32(bits), vld1q_u8(places.as_ptr()));
                let is_set = vtstq_u8(bytes, vld1q_u8(masks.as_ptr()));
                // 255 is -1.
                let sum16 = vmlsq_u8(vreinterpretq_u8_u32(*sum), is_set, vdupq_n_u8(16));
                *sum = vreinterpretq_u32_u8(sum16);
            }
            sums
        }
    }
    #[inline(always)]
    unsafe fn sixteen(rows: &Starts, at: usize) -> uint32x4_t {
        unsafe {
            let all = vdupq_n_u16(0);
            let all = vld1q_lane_u16::<0>(rows[0].add(at).cast(), all);
            let all = vld1q_lane_u16::<2>(rows[1].add(at).cast(), all);
            let all = vld1q_lane_u16::<4>(rows[2].add(at).cast(), all);
            vreinterpretq_u32_u16(vld1q_lane_u16::<6>(rows[3].add(at).cast(), all))
        }
    }
    #[inline(always)]
    unsafe fn eight(levels: uint32x4_t) -> uint32x4_t {
        levels
    }
    #[inline(always)]
    unsafe fn lookup(table: &[i8; 16], nibbles: uint32x4_t) -> uint32x4_t {
        unsafe {
            let table = vld1q_s8(table.as_ptr());
            vreinterpretq_u32_s8(vqtbl1q_s8(table, vreinterpretq_u8_u32(nibbles)))
        }
    }
    #[inline(always)]
    unsafe fn sum(x: *const i8) -> i32 {
        unsafe { i32::from(vaddlvq_s8(vld1q_s8(x))) + i32::from(vaddlvq_s8(vld1q_s8(x.add(16)))) }
    }
    #[inline(always)]
    unsafe fn start(x: i32) -> A::Sum {
        unsafe { A::start(x) }
    }
    #[inline(always)]
    unsafe fn dots(_: u32, sum: A::Sum, levels: &[uint32x4_t; 4], x: *const i8) -> A::Sum {
        // Levels of less than eight bits are below 128, so their sign does not matter.
        unsafe { A::dots(sum, levels, vld1q_s8(x)) }
    }
    #[inline(always)]
    unsafe fn total(sum: A::Sum) -> uint32x4_t {
        unsafe { vreinterpretq_u32_s32(A::total(sum)) }
    }
    #[inline(always)]
    unsafe fn halves(rows: &Starts, at: usize) -> float32x4_t {
        unsafe {
            let all = vdup_n_u16(0);
            let all = vld1_lane_u16::<0>(rows[0].add(at).cast(), all);
            let all = vld1_lane_u16::<1>(rows[1].add(at).cast(), all);
            let all = vld1_lane_u16::<2>(rows[2].add(at).cast(), all);
            let all = vld1_lane_u16::<3>(rows[3].add(at).cast(), all);
            vcvt_f32_f16(vreinterpret_f16_u16(all))
        }
    }
    #[inline(always)]
    unsafe fn half(bits: uint32x4_t) -> float32x4_t {
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(bits))) }
    }
    #[inline(always)]
    unsafe fn narrow(bits: u16) -> f32 {
        unsafe { vgetq_lane_f32::<0>(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bits)))) }
    }
    #[inline(always)]
    unsafe fn float(x: uint32x4_t) -> float32x4_t {
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_u32(x)) }
    }
    #[inline(always)]
    unsafe fn splat_float(x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn scale(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn mul_add(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(sum, a, b) }
    }
    #[inline(always)]
    unsafe fn mul_sub(sum: float32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vfmsq_f32(sum, a, b) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, x: float32x4_t) {
        unsafe { vst1q_f32(to, x) }
    }
}
