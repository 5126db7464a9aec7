//! Activations become [`Q8K`]: 256 numbers with one step, as ggml's reference does it, but several at a time.

use crate::Isa;
use crate::block::{Q8K, SUPER};

/// Numbers that are computed together.
const LANES: usize = 16;

type Run = unsafe fn(&[f32], &mut [Q8K]);

/// Quantizes activations on one instruction set, which this CPU has.
#[derive(Debug, Clone, Copy)]
pub struct Quantizer(Run);

impl Quantizer {
    /// The quantizer for `isa`; `None` if this CPU lacks the instructions.
    pub fn new(isa: Isa) -> Option<Self> {
        isa.is_available().then(|| Quantizer(table(isa)))
    }

    /// Quantizes 256 numbers for each of `blocks`. A block of zeros has a step of zero, and sums of any value.
    ///
    /// # Panics
    /// If there are not 256 numbers for each block.
    pub fn run(&self, numbers: &[f32], blocks: &mut [Q8K]) {
        assert_eq!(numbers.len(), blocks.len() * SUPER, "256 numbers for each block");
        // SAFETY: `new` has checked that the CPU has the instructions.
        unsafe { (self.0)(numbers, blocks) }
    }
}

#[cfg(target_arch = "x86_64")]
fn table(isa: Isa) -> Run {
    /// # Safety
    /// The CPU has AVX-512.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
    unsafe fn avx512(numbers: &[f32], blocks: &mut [Q8K]) {
        all(numbers, blocks);
    }
    /// # Safety
    /// The CPU has AVX2.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2(numbers: &[f32], blocks: &mut [Q8K]) {
        all(numbers, blocks);
    }
    if isa == Isa::Avx512Vnni { avx512 } else { avx2 }
}

#[cfg(not(target_arch = "x86_64"))]
fn table(_: Isa) -> Run {
    /// # Safety
    /// None: every CPU of the architecture has what the compiler uses.
    unsafe fn plain(numbers: &[f32], blocks: &mut [Q8K]) {
        all(numbers, blocks);
    }
    plain
}

#[inline(always)]
fn all(numbers: &[f32], blocks: &mut [Q8K]) {
    let (numbers, _) = numbers.as_chunks::<SUPER>();
    for (numbers, block) in numbers.iter().zip(blocks) {
        quantize(numbers, block);
    }
}

#[inline(always)]
fn quantize(numbers: &[f32; SUPER], block: &mut Q8K) {
    let largest = largest(numbers);
    if largest == 0.0 {
        block.d = 0.0;
        block.qs.fill(0);
        return;
    }
    let inverse = -127.0 / largest;
    for (level, number) in block.qs.iter_mut().zip(numbers) {
        *level = nearest(inverse * number).min(127) as i8;
    }
    for (sum, levels) in block.bsums.iter_mut().zip(block.qs.as_chunks::<16>().0) {
        *sum = levels.iter().map(|level| i16::from(*level)).sum();
    }
    block.d = 1.0 / inverse;
}

/// The number that is furthest from zero; of two opposite ones the first.
#[inline(always)]
fn largest(numbers: &[f32; SUPER]) -> f32 {
    let (mut low, mut high) = ([0f32; LANES], [0f32; LANES]);
    for part in numbers.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            low[lane] = if part[lane] < low[lane] {
                part[lane]
            } else {
                low[lane]
            };
            high[lane] = if part[lane] > high[lane] {
                part[lane]
            } else {
                high[lane]
            };
        }
    }
    let low = low.into_iter().fold(0f32, |low, x| if x < low { x } else { low });
    let high = high
        .into_iter()
        .fold(0f32, |high, x| if x > high { x } else { high });
    if high == -low {
        return *numbers.iter().find(|x| x.abs() == high).unwrap_or(&high);
    }
    if high > -low { high } else { low }
}

/// The nearest integer of a number below 2^22, the even one of two; other numbers give some integer.
#[inline(always)]
fn nearest(x: f32) -> i32 {
    // Above 2^23 floats are integers: the sum is rounded, and its lowest bits are the integer.
    const SHIFT: f32 = (3 << 22) as f32;
    ((x + SHIFT).to_bits() as i32 & 0x7f_ffff) - 0x40_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One number after the other, from the definition.
    fn reference(numbers: &[f32]) -> (f32, Vec<i8>) {
        let mut largest = 0f32;
        for x in numbers {
            if x.abs() > largest.abs() {
                largest = *x;
            }
        }
        if largest == 0.0 {
            return (0.0, vec![0; SUPER]);
        }
        let inverse = -127.0 / largest;
        let level = |x: &f32| (inverse * x).round_ties_even().min(127.0) as i8;
        (1.0 / inverse, numbers.iter().map(level).collect())
    }

    #[test]
    fn blocks_are_those_of_the_definition_on_every_instruction_set() {
        let mut seed = 9u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let random: Vec<f32> = (0..SUPER).map(|_| noise()).collect();
        let mut opposite = random.clone();
        (opposite[40], opposite[200]) = (-3.0, 3.0);
        let mut opposite_first = random.clone();
        (opposite_first[40], opposite_first[200]) = (3.0, -3.0);
        let steps: Vec<f32> = (0..SUPER).map(|at| at as f32 - 127.0).collect();
        let tiny: Vec<f32> = random.iter().map(|x| x * 1e-30).collect();
        let huge: Vec<f32> = random.iter().map(|x| x * 1e37).collect();
        let cases = [
            random,
            opposite,
            opposite_first,
            steps,
            tiny,
            huge,
            vec![0.0; SUPER],
            vec![-0.0; SUPER],
        ];
        for isa in Isa::ALL {
            let Some(quantizer) = Quantizer::new(isa) else {
                continue;
            };
            for (at, numbers) in cases.iter().enumerate() {
                let mut block = [Q8K {
                    d: f32::NAN,
                    qs: [99; SUPER],
                    bsums: [99; 16],
                }];
                quantizer.run(numbers, &mut block);
                let (d, levels) = reference(numbers);
                assert_eq!(
                    (block[0].d, block[0].qs.to_vec()),
                    (d, levels.clone()),
                    "{isa:?}, case {at}"
                );
                if d != 0.0 {
                    let sums: Vec<i16> = levels
                        .chunks(16)
                        .map(|part| part.iter().map(|x| i16::from(*x)).sum())
                        .collect();
                    assert_eq!(block[0].bsums.to_vec(), sums, "{isa:?}, case {at}");
                }
            }
        }
    }

    #[test]
    fn numbers_that_are_none_end_in_some_block() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for isa in Isa::ALL {
                let Some(quantizer) = Quantizer::new(isa) else {
                    continue;
                };
                let mut numbers = [1f32; SUPER];
                numbers[7] = bad;
                let mut block = [Q8K {
                    d: 0.0,
                    qs: [0; SUPER],
                    bsums: [0; 16],
                }];
                quantizer.run(&numbers, &mut block);
            }
        }
    }
}
