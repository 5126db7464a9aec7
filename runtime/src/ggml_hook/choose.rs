//! Chooses the instruction set of products by measuring: a CPU that splits wide registers may be faster with narrow ones.
//! Products of blocks have the same bits with all of them, so a wrong choice costs time only. Attention and products of
//! f16 weights have not, and are not chosen here.

use std::time::{Duration, Instant};

use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel};

/// Rows and blocks of the product that is measured: they fit into the second cache.
const ROWS: usize = 64;
const BLOCKS: usize = 8;
/// As when some chats are decoded together: between one column and a whole prompt.
const COLUMNS: usize = 4;
/// Each instruction set in turn, so often; its best time counts.
const ROUNDS: usize = 3;
/// Another set than the best one by name must be faster by a tenth.
const MARGIN: f64 = 0.9;

/// The fastest instruction set of this CPU; `None` if there are kernels for none of its sets.
pub(super) fn fastest() -> Option<Isa> {
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect();
    if isas.len() < 2 {
        return isas.first().copied();
    }
    let case = Case::with_columns(Format::Q4K, Kind::Usual, (ROWS, COLUMNS), BLOCKS, 1);
    let mut best = vec![Duration::MAX; isas.len()];
    for _ in 0..ROUNDS {
        for (isa, best) in isas.iter().zip(&mut best) {
            if let Some(kernel) = Kernel::new(Format::Q4K, *isa) {
                let start = Instant::now();
                std::hint::black_box(case.run(&kernel, 0));
                *best = start.elapsed().min(*best);
            }
        }
    }
    let times: Vec<(Isa, f64)> = isas
        .into_iter()
        .zip(best.iter().map(Duration::as_secs_f64))
        .collect();
    choose(&times)
}

/// The first set, unless another takes less than [`MARGIN`] of its time: then the fastest of those.
fn choose(times: &[(Isa, f64)]) -> Option<Isa> {
    let (first, time) = *times.first()?;
    let faster = times.iter().filter(|other| other.1 < time * MARGIN);
    let fastest = faster.min_by(|a, b| a.1.total_cmp(&b.1));
    Some(fastest.map_or(first, |other| other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_set_is_kept_unless_another_is_clearly_faster() {
        use Isa::{Avx2, Avx512Vnni, AvxVnni};
        for (times, chosen) in [
            (vec![], None),
            (vec![(Avx2, 1.0)], Some(Avx2)),
            (
                vec![(Avx512Vnni, 1.0), (AvxVnni, 0.95), (Avx2, 1.2)],
                Some(Avx512Vnni),
            ),
            (vec![(Avx512Vnni, 1.0), (AvxVnni, 0.85), (Avx2, 0.8)], Some(Avx2)),
            (
                vec![(Avx512Vnni, 1.0), (AvxVnni, 0.7), (Avx2, 0.8)],
                Some(AvxVnni),
            ),
        ] {
            assert_eq!(choose(&times), chosen, "{times:?}");
        }
    }

    #[test]
    fn the_fastest_set_is_one_that_this_cpu_has() {
        assert_eq!(fastest().is_some(), Isa::best().is_some());
        assert!(fastest().is_none_or(Isa::is_available));
    }
}
