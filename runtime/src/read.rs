//! Reading memory and nothing else.

/// Reads every word once, in order, with the widest loads of this CPU, and combines them with XOR.
#[cfg(own_kernels)]
pub use siskin_kernels::read as read_memory;

/// Reads every word once, in order, and combines them with XOR.
#[cfg(not(own_kernels))]
pub fn read_memory(words: &[u64]) -> u64 {
    let (chunks, rest) = words.as_chunks::<8>();
    let sums = chunks.iter().fold([0; 8], |mut sums, chunk| {
        sums.iter_mut().zip(chunk).for_each(|(sum, word)| *sum ^= word);
        sums
    });
    sums.iter().chain(rest).fold(0, |all, word| all ^ word)
}
