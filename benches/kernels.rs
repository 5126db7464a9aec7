//! GB/s of each kernel, compared with a plain read of the same bytes, on one thread.
//!
//! `cargo bench --bench kernels`; `kernels/examples/bandwidth.rs` measures several threads and distances.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel};

/// Bytes of weights: more than the caches hold, including the L3 cache of a server CPU.
const BYTES: usize = 256 << 20;
const WIDTH: usize = 2048;

fn kernels(criterion: &mut Criterion) {
    for format in Format::ALL {
        let blocks = WIDTH / format.block_len();
        let rows = BYTES / (blocks * format.block_bytes());
        let case = Case::new(format, Kind::Usual, rows, blocks, 1);
        let mut group = criterion.benchmark_group(format.name());
        group.sample_size(10);
        group.throughput(Throughput::Bytes((rows * blocks * format.block_bytes()) as u64));
        group.bench_function("plain read", |bencher| bencher.iter(|| black_box(&case).read()));
        for isa in Isa::ALL {
            let Some(kernel) = Kernel::new(format, isa) else {
                continue;
            };
            group.bench_function(isa.name(), |bencher| {
                bencher.iter(|| black_box(case.run(&kernel, 4096)))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
