//! Reading and nothing else, with the widest loads that the CPU has: how fast decoding could be.
//!
//! A plain loop is not enough: compilers leave it at one word a step for some CPUs.

/// Reads every word once, in order, and combines them with XOR.
///
/// It reads with the widest loads of this CPU: AVX-512, AVX2 or NEON; else a word at a time.
pub fn read(words: &[u64]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: this CPU has AVX-512 F.
            return unsafe { avx512(words) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: this CPU has AVX2.
            return unsafe { avx2(words) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        // SAFETY: this CPU has NEON.
        return unsafe { neon(words) };
    }
    portable(words)
}

/// A word at a time, in independent sums.
fn portable(words: &[u64]) -> u64 {
    let (chunks, rest) = words.as_chunks::<8>();
    let sums = chunks.iter().fold([0; 8], |mut sums, chunk| {
        sums.iter_mut().zip(chunk).for_each(|(sum, word)| *sum ^= word);
        sums
    });
    fold(&sums) ^ fold(rest)
}

fn fold(words: &[u64]) -> u64 {
    words.iter().fold(0, |all, word| all ^ word)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn avx512(words: &[u64]) -> u64 {
    use std::arch::x86_64::{
        _mm512_loadu_si512, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_xor_si512,
    };
    // Four registers of eight words, in sums that do not wait for each other.
    let (chunks, rest) = words.as_chunks::<32>();
    let mut sums = [_mm512_setzero_si512(); 4];
    for chunk in chunks {
        for (sum, eight) in sums.iter_mut().zip(chunk.as_chunks::<8>().0) {
            // SAFETY: `eight` is 64 bytes; the load takes any alignment.
            *sum = _mm512_xor_si512(*sum, unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) });
        }
    }
    let all = sums
        .into_iter()
        .fold(_mm512_setzero_si512(), |all, sum| _mm512_xor_si512(all, sum));
    let mut out = [0u64; 8];
    // SAFETY: `out` is 64 bytes; the store takes any alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), all) };
    fold(&out) ^ fold(rest)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(words: &[u64]) -> u64 {
    use std::arch::x86_64::{
        _mm256_loadu_si256, _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
    };
    // Eight registers of four words.
    let (chunks, rest) = words.as_chunks::<32>();
    let mut sums = [_mm256_setzero_si256(); 8];
    for chunk in chunks {
        for (sum, four) in sums.iter_mut().zip(chunk.as_chunks::<4>().0) {
            // SAFETY: `four` is 32 bytes; the load takes any alignment.
            *sum = _mm256_xor_si256(*sum, unsafe { _mm256_loadu_si256(four.as_ptr().cast()) });
        }
    }
    let all = sums
        .into_iter()
        .fold(_mm256_setzero_si256(), |all, sum| _mm256_xor_si256(all, sum));
    let mut out = [0u64; 4];
    // SAFETY: `out` is 32 bytes; the store takes any alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), all) };
    fold(&out) ^ fold(rest)
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(words: &[u64]) -> u64 {
    use std::arch::aarch64::{vdupq_n_u64, veorq_u64, vgetq_lane_u64, vld1q_u64};
    // Eight registers of two words.
    let (chunks, rest) = words.as_chunks::<16>();
    let mut sums = [vdupq_n_u64(0); 8];
    for chunk in chunks {
        for (sum, two) in sums.iter_mut().zip(chunk.as_chunks::<2>().0) {
            // SAFETY: `two` is 16 bytes, aligned for words.
            *sum = veorq_u64(*sum, unsafe { vld1q_u64(two.as_ptr()) });
        }
    }
    let all = sums
        .into_iter()
        .fold(vdupq_n_u64(0), |all, sum| veorq_u64(all, sum));
    vgetq_lane_u64::<0>(all) ^ vgetq_lane_u64::<1>(all) ^ fold(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_once_whatever_the_instructions() {
        let mut word = 1u64;
        let words: Vec<u64> = std::iter::repeat_with(|| {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            word
        })
        .take(200)
        .collect();
        for start in 0..3 {
            for end in start..words.len() {
                let part = &words[start..end];
                let want = fold(part);
                assert_eq!(read(part), want, "{start}..{end}");
                assert_eq!(portable(part), want, "{start}..{end}");
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: this CPU has AVX2.
                    assert_eq!(unsafe { avx2(part) }, want, "{start}..{end}");
                }
            }
        }
    }
}
