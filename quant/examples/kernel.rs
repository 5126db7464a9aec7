//! Quantizes noise with one kernel, to count instructions under callgrind or to measure its speed quickly.
//!
//!     cargo run --release -p siskin-quant --example kernel -- q4_K avx2 1048576 10 [normal|high]

use std::process::ExitCode;
use std::time::Instant;

use siskin_model::TensorType;
use siskin_quant::block::{Effort, Isa, Search};
use siskin_testing::synthetic;

/// Weights per row: the width of the models that siskin targets.
const ROW: usize = 2048;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((ty, isa, weights, times, effort)) = parse(&arguments) else {
        let isas: Vec<String> = Isa::available().map(|isa| isa.to_string()).collect();
        eprintln!(
            "usage: kernel TYPE {} WEIGHTS TIMES [normal|high]",
            isas.join("|")
        );
        return ExitCode::from(2);
    };
    let x: Vec<f32> = std::iter::repeat_with(synthetic::weights())
        .take(weights.next_multiple_of(ROW))
        .collect();
    let mut bytes = vec![0; ty.row_bytes(ROW as u64).expect("whole blocks") as usize];
    let search = Search {
        effort,
        ..Search::default()
    };
    let start = Instant::now();
    for _ in 0..times {
        for row in x.chunks(ROW) {
            search.quantize_row_with(isa, ty, row, &mut bytes);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let done = (times * x.len()) as f64;
    println!(
        "{ty} {isa}: {:.3} GB/s of f32, {:.3} ns a weight",
        done * 4e-9 / seconds,
        seconds * 1e9 / done
    );
    ExitCode::SUCCESS
}

fn parse(arguments: &[String]) -> Option<(TensorType, Isa, usize, usize, Effort)> {
    let ([ty, isa, weights, times], effort) = arguments.split_first_chunk()?;
    let effort = match effort {
        [] => Effort::Normal,
        [effort] => effort.parse().ok()?,
        _ => return None,
    };
    let ty = TensorType::all().find(|t| t.to_string().eq_ignore_ascii_case(ty))?;
    let isa = Isa::available().find(|i| i.to_string() == *isa)?;
    Some((ty, isa, weights.parse().ok()?, times.parse().ok()?, effort))
}
