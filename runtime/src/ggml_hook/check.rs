//! The check before siskin's kernels are switched on: every kernel is compared with ggml's own on known
//! blocks.

use llama_cpp_sys_2 as sys;
use siskin_kernels::CacheFormat::{F16, Q4_0, Q8_0};
use siskin_kernels::block::{Q8K, SUPER};
use siskin_kernels::check::attention::{AttentionCase, Shape};
use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{AttentionKernel, Format, Isa, Kernel, Product, Quantizer};

use super::abi;

/// Rows of a case: full registers and a remainder, for every instruction set.
const ROWS: usize = 33;

/// The kernels on `isa`, that of f16 weights on `floats`.
///
/// # Errors
/// Names the first kernel that is missing or wrong.
pub(super) fn checked(isa: Isa, floats: Isa) -> Result<Vec<Kernel>, String> {
    let mut kernels = Vec::with_capacity(Format::ALL.len());
    for format in Format::ALL {
        let isa = if format == Format::F16 { floats } else { isa };
        let kernel = Kernel::new(format, isa).ok_or_else(|| format!("this CPU has no {}", isa.name()))?;
        agrees(&kernel)?;
        kernels.push(kernel);
    }
    Ok(kernels)
}

/// The attention kernel on `isa`.
///
/// # Errors
/// Fails if `isa` has no attention kernel, or if its results are too far from f64's.
pub(super) fn checked_attention(isa: Isa) -> Result<AttentionKernel, String> {
    let kernel = AttentionKernel::new(isa).ok_or("no attention is written for this CPU's instructions")?;
    for (k, v) in [(F16, F16), (Q8_0, Q4_0), (Q4_0, Q8_0)] {
        let shape = Shape {
            streams: 2,
            tokens: 3,
            cells: 70,
            kv_heads: 1,
            group: 3,
            dim: 64,
            k,
            v,
            size: 1.0,
        };
        let case = AttentionCase::new(shape, Some(&|_, token, cell| cell % 9 != token));
        for (ours, exact) in case.run(&kernel, 2).into_iter().zip(case.exact()) {
            let apart = (f64::from(ours) - exact).abs();
            if apart.is_nan() || apart > case.bound() {
                return Err(format!(
                    "a check failed: attention over {k:?} gives {ours} instead of {exact}"
                ));
            }
        }
    }
    Ok(kernel)
}

/// The quantizer on `isa`.
///
/// # Errors
/// Fails if its blocks are not those of known numbers.
pub(super) fn checked_quantizer(isa: Isa) -> Result<Quantizer, String> {
    let quantizer = Quantizer::new(isa).ok_or("no quantizer is written for this CPU's instructions")?;
    let numbers: [f32; SUPER] = std::array::from_fn(|at| at as f32 - 127.0);
    let mut block = [Q8K {
        d: 0.0,
        qs: [0; SUPER],
        bsums: [0; 16],
    }];
    quantizer.run(&numbers, &mut block);
    // The largest number is 128, and its level is -127.
    let level = |at: usize| (-127.0 / 128.0 * numbers[at]).round_ties_even() as i8;
    match (0..SUPER).find(|at| block[0].qs[*at] != level(*at)) {
        None if block[0].d == -128.0 / 127.0 => Ok(quantizer),
        _ => Err("a check failed: activations are quantized wrongly".into()),
    }
}

/// Compares `kernel` with ggml's: the same result, apart from the rounding of sums. ggml may sum f16 in half precision,
/// if the CPU can.
///
/// # Errors
/// Names the format if `kernel` or ggml is further from the exact result than rounding explains.
fn agrees(kernel: &Kernel) -> Result<(), String> {
    /// How much coarser half precision is than single: 13 bits.
    const HALF: f64 = (1 << 13) as f64;
    let format = kernel.format();
    let blocks = 2 * 256 / format.block_len();
    let case = Case::new(format, Kind::Usual, ROWS, blocks, 2026);
    let ours = case.run(kernel, 4096);
    let theirs = ggml(format, &case)?;
    // The first and the last row of whole registers, and of the remainder.
    for row in [0, 15, 16, ROWS - 1] {
        let (ours, theirs, exact) = (&ours[row], &theirs[row], case.exact_at(row, 0));
        let within = |sum: f32, bound: f64| (f64::from(sum) - exact.value).abs() <= bound;
        let half = format == Format::F16 && within(*theirs, HALF * exact.bound);
        if !within(*ours, exact.bound) || !(half || within(*theirs, exact.bound)) {
            let name = format.name();
            return Err(format!(
                "a check failed: {name} gives {ours}, ggml gives {theirs}"
            ));
        }
    }
    Ok(())
}

/// ggml's `vec_dot` of each row.
///
/// # Errors
/// Fails if ggml has no `vec_dot` for the format, or one that takes another type of column.
pub(super) fn ggml(format: Format, case: &Case) -> Result<Vec<f32>, String> {
    // SAFETY: takes no arguments; fills ggml's tables once, and any thread may call it.
    unsafe { sys::ggml_cpu_init() };
    let (rows, column) = abi::types(format);
    // SAFETY: the number is one of ggml's types; the table it points into is static.
    let traits = unsafe { sys::ggml_get_type_traits_cpu(rows as sys::ggml_type).as_ref() };
    let traits = traits.filter(|traits| traits.vec_dot_type == column as sys::ggml_type);
    let name = format.name();
    let dot = traits
        .and_then(|traits| traits.vec_dot)
        .ok_or_else(|| format!("ggml multiplies {name} by another type than siskin does"))?;
    let mut out = vec![0f32; ROWS];
    let Product {
        rows,
        stride,
        count,
        column,
        blocks,
        ..
    } = case.product(&mut out, 0);
    let weights = i32::try_from(blocks * format.block_len()).map_err(|error| error.to_string())?;
    for (row, sum) in out.iter_mut().enumerate().take(count) {
        // SAFETY: a row of the case and its column, both of `weights` weights, and room for one number; the
        // strides are not used for one row.
        unsafe {
            dot(
                weights,
                sum,
                0,
                rows.add(row * stride).cast(),
                0,
                column.cast(),
                0,
                1,
            )
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_is_within_the_rounding_of_ggml() {
        for isa in Isa::ALL {
            if !isa.is_available() {
                println!("skipped: this CPU has no {}", isa.name());
                continue;
            }
            for format in Format::ALL {
                let kernel = Kernel::new(format, isa).expect("available");
                for kind in Kind::ALL {
                    for (seed, blocks) in [1, 2, 7, 22].into_iter().enumerate() {
                        let blocks = blocks * if format == Format::F16 { 37 } else { 1 };
                        let case = Case::new(format, kind, ROWS, blocks, seed as u64);
                        let theirs = ggml(format, &case).expect("ggml knows it");
                        for ((ours, theirs), exact) in
                            case.run(&kernel, 4096).into_iter().zip(theirs).zip(case.exact())
                        {
                            let apart = (f64::from(ours) - f64::from(theirs)).abs();
                            assert!(
                                apart <= 2.0 * exact.bound,
                                "{isa:?} {format:?} {kind:?} {blocks}: {ours} {theirs} {exact:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}
