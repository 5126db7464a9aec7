//! Checks every kernel that this CPU can run against f64.

use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel, Product};

/// Rows and blocks: whole and partial groups, single blocks, odd numbers, and a row as long as a model's.
const SHAPES: [(usize, usize); 11] = [
    (1, 1),
    (2, 3),
    (3, 2),
    (4, 4),
    (5, 5),
    (7, 8),
    (9, 1),
    (33, 7),
    (19, 11),
    (16, 8),
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
                    let columns = 1 + at % 3;
                    let seed = 99 + at as u64;
                    let case = Case::with_columns(format, kind, (count, columns), blocks, seed);
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

#[test]
fn a_result_depends_on_its_own_row_and_column_only() {
    // Of every instruction set: the same bits.
    for format in Format::ALL {
        let mut all: Vec<(Isa, Vec<u32>)> = Vec::new();
        for isa in available() {
            let kernel = Kernel::new(format, isa).expect("available");
            for (at, (count, blocks)) in SHAPES.into_iter().enumerate() {
                let blocks = if format == Format::F16 {
                    blocks * 37
                } else {
                    blocks
                };
                let case = |columns| {
                    Case::with_columns(format, Kind::Usual, (count, columns), blocks, 7 + at as u64)
                };
                let bits = |case: &Case| -> Vec<u32> {
                    case.run(&kernel, 4096).into_iter().map(f32::to_bits).collect()
                };
                let together = bits(&case(13));
                for columns in 1..=12 {
                    let fewer = bits(&case(columns));
                    assert!(
                        together.starts_with(&fewer),
                        "{isa:?} {format:?} {count}x{blocks}, {columns} columns"
                    );
                }
                let what = format!("{isa:?} {format:?} {count}x{blocks}");
                alone(&case(3), &kernel, &what);
                if format != Format::F16 {
                    all.push((isa, together));
                }
            }
        }
        let (first, others) = all.split_at(all.len().min(SHAPES.len()));
        for (place, (isa, bits)) in others.iter().enumerate() {
            let (other, wanted) = &first[place % SHAPES.len()];
            assert_eq!(bits, wanted, "{format:?} on {isa:?} and {other:?}");
        }
    }
}

/// Digests of the bits of some results. They do not depend on the architecture: x86-64 and aarch64 give the same.
const DIGESTS: [(Format, u64); 12] = [
    (Format::Q4K, 0x50a1_8abc_45aa_e718),
    (Format::Q5K, 0x73fa_eabb_9df2_d10a),
    (Format::Q6K, 0xa9c1_970a_d673_b3cb),
    (Format::Q8_0, 0x660d_25ef_7f77_d06a),
    (Format::Q4_0, 0x17a5_b192_a0bc_f07c),
    (Format::Q4_1, 0x5ef5_c5ee_7014_988e),
    (Format::Q5_0, 0xd1b9_9b82_4c59_e08f),
    (Format::Q5_1, 0x65f1_e8dc_384d_00ff),
    (Format::Q2K, 0x8fa9_9a2e_704c_9b89),
    (Format::Q3K, 0x162e_7f7f_b494_8c72),
    (Format::Iq4Nl, 0x7c1b_7936_3000_f65e),
    (Format::Iq4Xs, 0x7dc9_0d44_11ab_11c4),
];

#[test]
fn results_have_the_same_bits_on_every_architecture() {
    for isa in available() {
        let digests = DIGESTS.map(|(format, _)| {
            let kernel = Kernel::new(format, isa).expect("available");
            let mut digest = 0xcbf2_9ce4_8422_2325u64;
            for kind in Kind::ALL {
                for (count, columns, blocks) in [(3, 1, 9), (21, 1, 11), (37, 7, 5)] {
                    let case = Case::with_columns(format, kind, (count, columns), blocks, 17);
                    for byte in case
                        .run(&kernel, 4096)
                        .into_iter()
                        .flat_map(|x| x.to_bits().to_le_bytes())
                    {
                        // FNV-1a.
                        digest = (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                    }
                }
            }
            (format, digest)
        });
        assert!(digests == DIGESTS, "{isa:?} gives {digests:#x?}");
    }
}

/// Every row alone gives what it gives together with the others.
fn alone(case: &Case, kernel: &Kernel, what: &str) {
    let together = case.run(kernel, 0);
    let mut room = vec![f32::NAN; case.results()];
    let whole = case.product(&mut room, 0);
    for row in 0..whole.count {
        let mut out = [f32::NAN; 3];
        let one = Product {
            rows: whole.rows.wrapping_add(row * whole.stride),
            count: 1,
            out: out.as_mut_ptr(),
            out_stride: 1,
            ..whole
        };
        // SAFETY: a row of the case, its columns, and room for a result of each.
        unsafe { kernel.run_all(&one) };
        for (column, got) in out.into_iter().enumerate() {
            let wanted = together[column * whole.count + row];
            assert_eq!(
                got.to_bits(),
                wanted.to_bits(),
                "{what} row {row} column {column}"
            );
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
        unsafe { kernel.run_all(&product) };
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
