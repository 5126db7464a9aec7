//! Checks every kernel that this CPU can run against f64.

use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel};

/// Rows and blocks: whole and partial groups, single blocks, odd numbers, and a row as long as a model's.
const SHAPES: [(usize, usize); 9] = [
    (1, 1),
    (2, 3),
    (3, 2),
    (4, 4),
    (5, 5),
    (7, 8),
    (9, 1),
    (33, 7),
    (4, 64),
];

/// The instruction sets that this CPU has kernels for. See `expect_kernels` for a CPU without any.
fn available() -> Vec<Isa> {
    let isas: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).collect();
    siskin_testing::expect_kernels(!isas.is_empty());
    isas
}

#[test]
fn every_kernel_is_within_the_rounding_of_f64() {
    for isa in available() {
        for format in Format::ALL {
            let kernel = Kernel::new(format, isa).expect("available");
            for kind in Kind::ALL {
                for (at, (count, blocks)) in SHAPES.into_iter().enumerate() {
                    // A length that leaves a remainder for every register width.
                    let blocks = if format == Format::F16 {
                        blocks * 37
                    } else {
                        blocks
                    };
                    let case = Case::new(format, kind, count, blocks, 99 + at as u64);
                    for ahead in [0, 100, 4096, 1 << 20] {
                        check(
                            &case,
                            &kernel,
                            ahead,
                            &format!("{isa:?} {format:?} {kind:?} {count}x{blocks}"),
                        );
                    }
                }
            }
        }
    }
}

fn check(case: &Case, kernel: &Kernel, ahead: usize, what: &str) {
    for (row, (got, exact)) in case.run(kernel, ahead).into_iter().zip(case.exact()).enumerate() {
        let error = (f64::from(got) - exact.value).abs();
        assert!(
            error <= exact.bound,
            "{what} ahead {ahead} row {row}: {got} is {error:e} from {:e}, bound {:e}",
            exact.value,
            exact.bound
        );
    }
}

#[test]
fn a_kernel_for_another_cpu_is_not_given() {
    for isa in Isa::ALL {
        for format in Format::ALL {
            assert_eq!(
                Kernel::new(format, isa).is_some(),
                isa.is_available(),
                "{isa:?} {format:?}"
            );
        }
    }
}

fn every_kernel() -> impl Iterator<Item = (Isa, Format)> {
    let formats = |isa| Format::ALL.into_iter().map(move |format| (isa, format));
    available().into_iter().flat_map(formats)
}

#[test]
fn no_rows_touch_nothing() {
    for (isa, format) in every_kernel() {
        let case = Case::new(format, Kind::Usual, 1, 2, 5);
        let mut out = [f32::NAN; 1];
        let mut product = case.product(&mut out, 4096);
        product.count = 0;
        let kernel = Kernel::new(format, isa).expect("available");
        // SAFETY: the case's own rows, none of which is read.
        unsafe { kernel.run(&product) };
        assert!(out[0].is_nan(), "{isa:?} {format:?}");
    }
}

#[test]
fn a_wrong_weight_is_noticed() {
    // The bound must be tight enough to notice another case's result.
    for (isa, format) in every_kernel() {
        let blocks = if format == Format::F16 { 64 } else { 2 };
        let kernel = Kernel::new(format, isa).expect("available");
        let (right, other) = (
            Case::new(format, Kind::Usual, 1, blocks, 7),
            Case::new(format, Kind::Usual, 1, blocks, 8),
        );
        let error = (f64::from(right.run(&kernel, 0)[0]) - other.exact()[0].value).abs();
        assert!(error > other.exact()[0].bound, "{isa:?} {format:?}");
    }
}
