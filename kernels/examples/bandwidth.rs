//! GB/s of weights that each kernel reads, compared with a plain read of the same bytes, measured in turns.
//!
//! ```sh
//! cargo run --release -p siskin-kernels --example bandwidth -- 2 Q4_K   # threads, a format or all
//! ```

use std::hint::black_box;
use std::time::Instant;

use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel, Product};

/// Bytes of weights of all threads together: more than a CPU's caches hold.
const BYTES: usize = 512 << 20;
/// Weights per row; the rows per product are next. Both are those of a model with a billion parameters.
const WIDTH: usize = 2048;
const ROWS: usize = 2048;
const ROUNDS: usize = 7;

fn main() {
    let mut args = std::env::args().skip(1);
    let threads: usize = args
        .next()
        .map_or(1, |text| text.parse().expect("a number of threads"));
    let only = args.next();
    let Some(isa) = Isa::best() else {
        println!("no kernels are written for this CPU");
        return;
    };
    println!(
        "{}, {threads} threads, medians of {ROUNDS} rounds in turns\n",
        isa.name()
    );
    println!("| format | bytes ahead | GB/s | of a plain read |\n| --- | --- | --- | --- |");
    for format in Format::ALL {
        if only.as_deref().is_none_or(|only| only == format.name()) {
            measure(format, Kernel::new(format, isa).expect("available"), threads);
        }
    }
}

fn measure(format: Format, kernel: Kernel, threads: usize) {
    let blocks = WIDTH / format.block_len();
    let stride = blocks * format.block_bytes();
    let rows = BYTES / stride / threads / ROWS * ROWS;
    let cases: Vec<Case> = (0..threads)
        .map(|at| Case::new(format, Kind::Usual, rows, blocks, at as u64))
        .collect();
    let mut variants: Vec<(Option<usize>, Vec<f64>)> = [
        None,
        Some(0),
        Some(4096),
        Some(8192),
        Some(16384),
        Some(32768),
        Some(65536),
    ]
    .map(|ahead| (ahead, Vec::new()))
    .into();
    for _ in 0..ROUNDS {
        for (ahead, rates) in &mut variants {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for case in &cases {
                    let ahead = *ahead;
                    scope.spawn(move || match ahead {
                        None => _ = black_box(case.read()),
                        Some(ahead) => products(case, &kernel, ahead, rows),
                    });
                }
            });
            rates.push((rows * stride * threads) as f64 / start.elapsed().as_secs_f64() / 1e9);
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let plain = median(&mut variants[0].1);
    for (ahead, rates) in &mut variants {
        let (ahead, rate) = (
            ahead.map_or("plain read".into(), |ahead| ahead.to_string()),
            median(rates),
        );
        println!(
            "| {} | {ahead} | {rate:.1} | {:.2} |",
            format.name(),
            rate / plain
        );
    }
}

/// Computes all rows, with [`ROWS`] rows per product.
fn products(case: &Case, kernel: &Kernel, ahead: usize, rows: usize) {
    let mut out = vec![0f32; rows];
    let whole = case.product(&mut out, ahead);
    for first in (0..rows).step_by(ROWS) {
        let part = Product {
            rows: whole.rows.wrapping_add(first * whole.stride),
            count: ROWS,
            out: whole.out.wrapping_add(first),
            ..whole
        };
        // SAFETY: rows of the case from `first` on, and the room for their results.
        unsafe { kernel.run_all(&part) };
    }
    black_box(&out);
}
