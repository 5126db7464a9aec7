//! GB/s of keys and values that attention reads, compared with a plain read of the same bytes, measured in
//! turns, and the time of several tokens relative to one.
//!
//! ```sh
//! cargo run --release -p siskin-kernels --example attention -- 2 2048 Pythia   # threads, cells, a model or all
//! ```

use std::hint::black_box;
use std::time::Instant;

use siskin_kernels::{Attention, AttentionKernel, Cache, CacheFormat, Isa, Mask, Strided};

/// Bytes of keys and values: more than a CPU's caches hold.
const BYTES: usize = 256 << 20;
const ROUNDS: usize = 9;
/// Names, heads of keys, heads that share them, numbers per head.
const SHAPES: [(&str, usize, usize, usize); 4] = [
    ("StableLM-2", 32, 1, 64),
    ("Pythia", 8, 1, 256),
    ("TinyLlama", 4, 8, 64),
    ("Llama-3.2", 8, 4, 64),
];
/// Tokens of one stream, and cache formats.
const CASES: [(usize, CacheFormat); 6] = [
    (1, CacheFormat::F16),
    (2, CacheFormat::F16),
    (4, CacheFormat::F16),
    (8, CacheFormat::F16),
    (1, CacheFormat::Q8_0),
    (1, CacheFormat::Q4_0),
];

/// Keys and values of several layers.
struct Layers {
    words: Vec<u64>,
    kv_heads: usize,
    group: usize,
    dim: usize,
    cells: usize,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default| {
        args.next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (threads, cells) = (number(1), number(2048));
    let only = args.next();
    let Some(isa) = Isa::best() else {
        println!("no kernels are written for this CPU");
        return;
    };
    let kernel = AttentionKernel::new(isa).expect("available");
    println!(
        "{}, {threads} threads, {cells} cells, best of {ROUNDS} rounds in turns\n",
        isa.name()
    );
    println!(
        "| model | tokens | cache | GB/s | of a plain read | time of one token |\n| --- | --- | --- | --- | --- | --- |"
    );
    for (name, kv_heads, group, dim) in SHAPES {
        if only.as_ref().is_some_and(|only| !name.starts_with(only.as_str())) {
            continue;
        }
        let layers = Layers {
            words: words(BYTES / 8),
            kv_heads,
            group,
            dim,
            cells,
        };
        // Nanoseconds a byte; the last is the plain read's.
        let mut times = [f64::INFINITY; CASES.len() + 1];
        for _ in 0..ROUNDS {
            for (case, best) in times.iter_mut().enumerate() {
                let start = Instant::now();
                let bytes = match CASES.get(case) {
                    Some((tokens, format)) => layers.attend(&kernel, *tokens, *format, threads),
                    None => layers.read(threads),
                };
                *best = best.min(start.elapsed().as_secs_f64() / bytes as f64 * 1e9);
            }
        }
        for ((tokens, format), time) in CASES.iter().zip(times) {
            println!(
                "| {name} | {tokens} | {format:?} | {:.1} | {:.2} | {:.2} |",
                1.0 / time,
                times[CASES.len()] / time,
                time / times[0]
            );
        }
        println!("| {name} | | plain read | {:.1} | | |", 1.0 / times[CASES.len()]);
    }
}

/// Random numbers: normal ones as f16.
fn words(count: usize) -> Vec<u64> {
    let mut x = 88172645463325252u64;
    let word = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x & 0x8fff_8fff_8fff_8fff | 0x2000_2000_2000_2000
    };
    std::iter::repeat_with(word).take(count).collect()
}

impl Layers {
    /// Computes the attention of `tokens` tokens over every layer and returns the bytes that it reads.
    fn attend(&self, kernel: &AttentionKernel, tokens: usize, format: CacheFormat, threads: usize) -> usize {
        let (heads, dim) = (self.kv_heads * self.group, self.dim);
        let row = format.row_bytes(dim);
        let half = self.cells * self.kv_heads * row;
        let layers = self.words.len() * 8 / (2 * half);
        let mut q = vec![0.1f32; tokens * heads * dim];
        let mut out = vec![0f32; q.len()];
        let mask = vec![0u16; self.cells * tokens];
        let strided = |data| Strided {
            data,
            head: dim * 4,
            token: heads * dim * 4,
            stream: 0,
        };
        let (q, out) = (q.as_mut_ptr() as usize, out.as_mut_ptr() as usize);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let mask = &mask;
                scope.spawn(move || {
                    for layer in 0..layers {
                        let cache = |half_layers: usize| Cache {
                            format,
                            data: self.words.as_ptr().cast::<u8>().wrapping_add(half_layers * half),
                            head: row,
                            cell: row * self.kv_heads,
                            stream: 0,
                        };
                        let attention = Attention {
                            q: strided(q as *mut f32),
                            k: cache(2 * layer),
                            v: cache(2 * layer + 1),
                            mask: Mask {
                                data: mask.as_ptr(),
                                token: self.cells * 2,
                                stream: 0,
                            },
                            out: strided(out as *mut f32),
                            streams: 1,
                            tokens,
                            cells: self.cells,
                            dim,
                            group: self.group,
                            heads: Attention::share(heads, self.group, thread, threads).expect("a thread"),
                            scale: 0.125,
                        };
                        // SAFETY: the rows of a layer of `words`, and of the vectors above, which outlive the
                        // threads; no two threads have the same heads.
                        unsafe { kernel.run(&attention) };
                    }
                });
            }
        });
        layers * 2 * half
    }

    /// Reads every word and returns the bytes.
    fn read(&self, threads: usize) -> usize {
        std::thread::scope(|scope| {
            for part in self.words.chunks(self.words.len() / threads) {
                scope.spawn(move || {
                    // Many sums, so that the compiler can use the widest registers.
                    let many = part.as_chunks::<64>().0.iter();
                    black_box(many.fold([0u64; 64], |mut sums, words| {
                        for (sum, word) in sums.iter_mut().zip(words) {
                            *sum ^= word;
                        }
                        sums
                    }))
                });
            }
        });
        self.words.len() * 8
    }
}
