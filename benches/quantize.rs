//! Throughput in GB/s of f32 input: each block format on each instruction set, and whole conversions.
//!
//!     cargo bench --bench quantize            # all of it; reports go to target/criterion
//!     cargo bench --bench quantize -- q4_K    # some of it

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siskin_model::atomic_file::Overwrite;
use siskin_model::{FileType, TensorType};
use siskin_quant::block::{Effort, Isa, quantize_row_with};
use siskin_quant::convert::Conversion;
use siskin_quant::stream::StreamOptions;
use siskin_testing::synthetic::{self, Sizes, weights};

const FORMATS: [TensorType; 10] = [
    TensorType::F16,
    TensorType::Bf16,
    TensorType::Q8_0,
    TensorType::Q4_0,
    TensorType::Q4_1,
    TensorType::Q5_0,
    TensorType::Q5_1,
    TensorType::Q4K,
    TensorType::Q5K,
    TensorType::Q6K,
];

/// 512 KiB of f32, which fit into a core's own cache.
const WEIGHTS: usize = 64 * 2048;

/// Four layers of TinyLlama's widths.
const SIZES: Sizes = Sizes {
    layers: 4,
    width: 2048,
    ffn: 5632,
    heads: [32, 4],
    vocabulary: 520,
};

fn formats(c: &mut Criterion) {
    let x: Vec<f32> = std::iter::repeat_with(weights()).take(WEIGHTS).collect();
    let mut group = c.benchmark_group("quantize");
    group.throughput(Throughput::Bytes(4 * WEIGHTS as u64));
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for ty in FORMATS {
        let bytes = ty.row_bytes(WEIGHTS as u64).expect("whole blocks") as usize;
        let mut out = vec![0; bytes];
        for isa in Isa::available() {
            group.bench_function(BenchmarkId::new(ty.to_string(), isa), |b| {
                b.iter(|| quantize_row_with(isa, ty, &x, &mut out));
            });
        }
    }
    group.finish();
}

fn conversion(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::checkpoint(dir.path(), &SIZES, Some(&mut weights()));
    let cancel = AtomicBool::new(false);
    let options = StreamOptions {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        allow_nonfinite: false,
        effort: Effort::Normal,
        imatrix: None,
        cancel: &cancel,
    };
    let mut group = c.benchmark_group("convert");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for ty in [FileType::Q4KM, FileType::Q8_0, FileType::F16] {
        let conversion = Conversion::from_checkpoint(dir.path(), Some(ty), None).expect("planned");
        group.throughput(Throughput::Bytes(4 * conversion.plan.weights()));
        group.bench_function(ty.name(), |b| {
            b.iter(|| {
                let out = dir.path().join("out.gguf");
                let written = conversion.write(&out, Overwrite::Replace, options, &mut |_| ());
                written.expect("written");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, formats, conversion);
criterion_main!(benches);
