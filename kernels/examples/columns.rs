//! The time of a product with several columns relative to that with one, measured in turns.
//!
//! ```sh
//! cargo run --release -p siskin-kernels --example columns -- 2 Q4_K 512   # threads, a format or all, MiB
//! ```

use std::hint::black_box;
use std::time::Instant;

use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel, Product};

/// Weights per row; the rows per product are next. Both are those of a model with a billion parameters.
const WIDTH: usize = 2048;
const ROWS: usize = 2048;
const ROUNDS: usize = 7;
/// 0 is a plain read.
const COLUMNS: [usize; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 64];

fn main() {
    let mut args = std::env::args().skip(1);
    let threads: usize = args
        .next()
        .map_or(1, |text| text.parse().expect("a number of threads"));
    let only = args.next().filter(|format| format != "all");
    let bytes = args.next().map_or(512, |text| text.parse().expect("MiB")) << 20;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        println!(
            "\n{}, {threads} threads, medians of {ROUNDS} rounds in turns\n",
            isa.name()
        );
        println!("| format | columns | GB/s | T(n) | G multiply-adds/s |\n| --- | --- | --- | --- | --- |");
        for format in Format::ALL {
            if only.as_deref().is_none_or(|only| only == format.name()) {
                measure(
                    format,
                    Kernel::new(format, isa).expect("available"),
                    threads,
                    bytes,
                );
            }
        }
    }
}

fn measure(format: Format, kernel: Kernel, threads: usize, bytes: usize) {
    let blocks = WIDTH / format.block_len();
    let stride = blocks * format.block_bytes();
    let rows = (bytes / stride / threads / ROWS).max(1) * ROWS;
    let most = *COLUMNS.iter().max().expect("some");
    let cases: Vec<Case> = (0..threads)
        .map(|at| Case::with_columns(format, Kind::Usual, (rows, most), blocks, at as u64))
        .collect();
    let mut rooms: Vec<Vec<f32>> = cases.iter().map(|case| vec![1.0; case.results()]).collect();
    let mut times: Vec<(usize, Vec<f64>)> = COLUMNS.map(|columns| (columns, Vec::new())).into();
    for _ in 0..ROUNDS {
        for (columns, times) in &mut times {
            let columns = *columns;
            // Many columns are slow; a part of the rows is enough.
            let rows = if columns > 8 { rows / 8 / ROWS * ROWS } else { rows }.max(ROWS);
            let start = Instant::now();
            std::thread::scope(|scope| {
                for (case, room) in cases.iter().zip(&mut rooms) {
                    scope.spawn(move || match columns {
                        0 => _ = black_box(case.read()),
                        _ => products(case, &kernel, columns, rows, room),
                    });
                }
            });
            times.push(start.elapsed().as_secs_f64() / rows as f64);
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let one = median(&mut times[1].1);
    for (columns, times) in &mut times {
        let time = median(times);
        println!(
            "| {} | {columns} | {:.1} | {:.2} | {:.0} |",
            format.name(),
            (stride * threads) as f64 / time / 1e9,
            time / one,
            (WIDTH * threads * *columns) as f64 / time / 1e9,
        );
    }
}

/// Computes `rows` rows, with [`ROWS`] rows per product.
fn products(case: &Case, kernel: &Kernel, columns: usize, rows: usize, room: &mut [f32]) {
    let whole = case.product(room, 8192);
    for first in (0..rows).step_by(ROWS) {
        let part = Product {
            rows: whole.rows.wrapping_add(first * whole.stride),
            count: ROWS,
            columns,
            out_stride: ROWS,
            ..whole
        };
        // SAFETY: rows of the case from `first` on, its first columns, and room for more than their results.
        unsafe { kernel.run_all(&part) };
    }
    black_box(room);
}
