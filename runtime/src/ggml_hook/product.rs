//! Converts ggml's call for a whole product into the rows and columns that one thread computes.

use std::ffi::{c_int, c_void};

use llama_cpp_sys_2::ggml_tensor;
use siskin_kernels::{Format, Kernel, Product};

use super::abi::{self, ComputeParams};
use super::partition::Shares;

/// The arguments of ggml's `llamafile_sgemm`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) params: *const ComputeParams,
    /// Number of rows, of columns, and of blocks in each of them.
    pub(super) lengths: [i64; 3],
    /// Weights, activations and results.
    pub(super) data: (*const c_void, *const c_void, *mut c_void),
    /// From a row of weights to the next and from a column of activations to the next, in blocks; from a
    /// column of results to the next, in numbers.
    pub(super) strides: [i64; 3],
    pub(super) types: [c_int; 3],
}

/// One thread's work on a product.
#[derive(Debug)]
pub(super) struct Work<'a> {
    kernel: &'a Kernel,
    /// The whole product, of all threads.
    whole: Product,
    shares: Shares,
    thread: usize,
}

/// The most columns that siskin computes of a format.
fn most_columns(format: Format) -> usize {
    match format {
        // With more columns, ggml's kernel is better.
        Format::F16 => 8,
        _ => usize::MAX,
    }
}

/// Whether there is a kernel in `kernels` for the product that `node` stands for.
///
/// # Safety
/// `node` must be a valid `MUL_MAT` with two sources.
pub(super) unsafe fn is_computed(node: *const ggml_tensor, kernels: &[Kernel]) -> bool {
    // SAFETY: the caller promises it.
    let (weights, columns) = unsafe { (&*(*node).src[0], &*(*node).src[1]) };
    let of_type = |kernel: &&Kernel| abi::types(kernel.format()).0 == weights.type_ as c_int;
    let kernel = kernels.iter().find(of_type);
    let fits =
        |kernel: &Kernel| usize::try_from(columns.ne[1]).is_ok_and(|n| n <= most_columns(kernel.format()));
    columns.type_ as c_int == abi::F32 && kernel.is_some_and(fits)
}

impl<'a> Work<'a> {
    /// The work that `call` asks of its thread. `None` if no kernel of `kernels` has the types, or if ggml is
    /// better at it.
    ///
    /// # Safety
    /// `call.params` must be valid.
    pub(super) unsafe fn from_call(call: &Call, kernels: &'a [Kernel], ahead: usize) -> Option<Self> {
        // SAFETY: the caller promises it.
        let params = unsafe { &*call.params };
        let [a_type, b_type, c_type] = call.types;
        let format = abi::format(a_type, b_type).filter(|_| c_type == abi::F32)?;
        let kernel = kernels.iter().find(|kernel| kernel.format() == format)?;
        let length = |length: i64| usize::try_from(length).ok();
        let [rows, columns, blocks] = call.lengths.map(length);
        let [row_stride, column_stride, out_stride] = call.strides.map(length);
        let (rows, columns, blocks, stride) = (rows?, columns?, blocks?, row_stride? * format.block_bytes());
        let (thread, threads) = (
            usize::try_from(params.ith).ok()?,
            usize::try_from(params.nth).ok()?,
        );
        if thread >= threads || blocks == 0 || !(1..=most_columns(format)).contains(&columns) {
            return None;
        }
        let (a, b, c) = call.data;
        // Only if the first column is in the work buffer, ggml has set its counter and every thread has seen
        // it.
        let shares = if std::ptr::eq(b, params.wdata) {
            Shares::with_pieces(rows, threads, stride)
        } else {
            Shares::fixed(rows, threads)
        };
        Some(Self {
            kernel,
            whole: Product {
                rows: a.cast(),
                stride,
                count: rows,
                column: b.cast(),
                column_stride: column_stride? * format.column_block_bytes(),
                columns,
                blocks,
                out: c.cast(),
                out_stride: out_stride?,
                ahead,
            },
            shares,
            thread,
        })
    }

    /// Computes the work; `next` counts pieces from 0, for all threads together.
    ///
    /// # Safety
    /// ggml must have promised what the call names: rows, columns, and room for results that no other thread
    /// touches meanwhile. Every thread of the operation must do the same with the same counter.
    pub(super) unsafe fn run(&self, next: &mut dyn FnMut() -> usize) {
        let mut own = Some(self.shares.own(self.thread));
        let mut rows = || {
            own.take().or_else(|| {
                let some_are_left = self.shares.has_pieces();
                some_are_left.then(|| self.shares.piece(next())).flatten()
            })
        };
        // SAFETY: the caller's promise; no two threads have rows in common.
        unsafe { self.kernel.run(&self.whole, &mut rows) }
    }
}

#[cfg(test)]
mod tests {
    use siskin_kernels::Isa;
    use siskin_kernels::check::{Case, Kind};

    use super::*;

    /// Enough rows for pieces.
    const ROWS: usize = 1024 + 5;
    const BLOCKS: usize = 8;

    #[test]
    fn threads_compute_every_row_of_every_column() {
        let Some(isa) = Isa::best() else {
            return println!("skipped: no kernels are written for this CPU");
        };
        let format = Format::Q4K;
        let kernels = [Kernel::new(format, isa).expect("available")];
        for columns in [1, 2, 7, 20] {
            let case = Case::with_columns(format, Kind::Usual, (ROWS, columns), BLOCKS, 7);
            let expected = case.run(&kernels[0], 0);
            let mut out = vec![f32::NAN; ROWS * columns];
            let product = case.product(&mut out, 8192);
            for (wdata, threads) in [(product.column, 1), (product.column, 3), (std::ptr::null(), 2)] {
                let mut pieces = 0..;
                for ith in 0..threads {
                    let params = ComputeParams::new(ith, threads, wdata.cast_mut().cast());
                    let (a_type, b_type) = abi::types(format);
                    let call = Call {
                        params: &params,
                        lengths: [ROWS as i64, columns as i64, BLOCKS as i64],
                        data: (product.rows.cast(), product.column.cast(), product.out.cast()),
                        strides: [BLOCKS as i64, BLOCKS as i64, ROWS as i64],
                        types: [a_type, b_type, abi::F32],
                    };
                    // SAFETY: the case's rows and column, and room for `columns` columns of results.
                    unsafe {
                        let work = Work::from_call(&call, &kernels, 8192).expect("a format with a kernel");
                        work.run(&mut || pieces.next().expect("no end"));
                    }
                }
                assert_eq!(out, expected, "{columns} columns, {threads} threads");
                out.fill(f32::NAN);
            }
        }
    }
}
