//! What a tensor was multiplied with, in one of llama.cpp's matrix products.

use std::marker::PhantomData;

use llama_cpp_sys_2 as sys;

/// The input rows that a tensor is multiplied with.
pub struct MulMat<'a> {
    /// Numbers in a row.
    columns: usize,
    /// Matrices of the tensor: 1 unless it has more than two dimensions.
    matrices: usize,
    /// There are `shape[1] * shape[2]` parts of `shape[0]` rows each.
    shape: [usize; 3],
    /// Bytes from one row, one part and one group of parts to the next.
    strides: [usize; 3],
    /// The tensor's own `[2]` and `[3]`: parts beyond them use the matrices from the first one again.
    repeat: [usize; 2],
    data: *const u8,
    life: PhantomData<&'a [f32]>,
}

impl<'a> MulMat<'a> {
    /// The rows that `tensor` multiplies `input` with; `None` if they are not in memory as f32, row by row.
    pub(super) fn new(tensor: &'a sys::ggml_tensor, input: &'a sys::ggml_tensor) -> Option<Self> {
        let size = |v: i64| usize::try_from(v).ok().filter(|v| *v > 0);
        let [columns, a, b, c] = [
            size(input.ne[0])?,
            size(input.ne[1])?,
            size(input.ne[2])?,
            size(input.ne[3])?,
        ];
        let repeat = [size(tensor.ne[2])?, size(tensor.ne[3])?];
        // SAFETY: a tensor that was computed has a buffer, and the call is not made for one without.
        let host = !input.buffer.is_null() && unsafe { sys::ggml_backend_buffer_is_host(input.buffer) };
        let plain = input.type_ == sys::GGML_TYPE_F32 && input.nb[0] == size_of::<f32>();
        let aligned = input.data.addr().is_multiple_of(align_of::<f32>())
            && input.nb.iter().all(|n| n.is_multiple_of(4));
        (host && plain && aligned && !input.data.is_null()).then_some(MulMat {
            columns,
            matrices: repeat[0] * repeat[1],
            shape: [a, b, c],
            strides: [input.nb[1], input.nb[2], input.nb[3]],
            repeat,
            data: input.data.cast(),
            life: PhantomData,
        })
    }

    /// Numbers of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Matrices of the tensor: 1 unless it has more than two dimensions.
    pub fn matrices(&self) -> usize {
        self.matrices
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Each row, with the index of the matrix it is multiplied with.
    pub fn rows(&self) -> impl Iterator<Item = (usize, &'a [f32])> {
        let [a, b, c] = self.shape;
        (0..c)
            .flat_map(move |k| (0..b).map(move |j| (k, j)))
            .flat_map(move |(k, j)| {
                let matrix = (k % self.repeat[1]) * self.repeat[0] + j % self.repeat[0];
                (0..a).map(move |i| {
                    let at = i * self.strides[0] + j * self.strides[1] + k * self.strides[2];
                    // SAFETY: ggml's strides place `columns` f32 at `at` for every index below `shape`; `of`
                    // checked that they are in this process's memory, aligned. They are not written while the
                    // callback that lent the tensor runs, and `life` keeps the row from outliving it.
                    (matrix, unsafe {
                        std::slice::from_raw_parts(self.data.add(at).cast(), self.columns)
                    })
                })
            })
    }
}
