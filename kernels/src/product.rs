//! A product of rows with a column, and the kernel that computes it.

use crate::{Format, Isa};

/// Rows of weights, a column of activations and where the results go.
#[derive(Debug, Clone, Copy)]
pub struct Product {
    /// The first row.
    pub rows: *const u8,
    /// Bytes from a row to the next.
    pub stride: usize,
    /// Rows.
    pub count: usize,
    /// The column: as many blocks as a row has, in the form that the format is multiplied by.
    pub column: *const u8,
    /// Blocks a row.
    pub blocks: usize,
    /// `[count]` results.
    pub out: *mut f32,
    /// Bytes of weights asked of the memory before they are needed; 0 for none.
    pub ahead: usize,
    /// Rows after these that will be needed next, and may be asked of the memory as well.
    pub following: usize,
}

pub(crate) type Run = unsafe fn(&Product);

/// A kernel: one format on one instruction set, which this CPU has.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    format: Format,
    isa: Isa,
    run: Run,
}

impl Kernel {
    /// The kernel for `format` on `isa`; `None` where this CPU lacks the instructions.
    pub fn new(format: Format, isa: Isa) -> Option<Kernel> {
        let run = isa.is_available().then(|| table(isa, format))?;
        Some(Kernel { format, isa, run })
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Computes `product`.
    ///
    /// # Safety
    /// `rows` must point at `count` rows of `blocks` whole blocks each, `stride` bytes apart, aligned to two
    /// bytes; `column` at `blocks` blocks of its form, aligned as those are; `out` at room for `count` numbers
    /// that nobody else touches meanwhile.
    pub unsafe fn run(&self, product: &Product) {
        if product.count > 0 {
            // SAFETY: `new` has seen that the CPU has the instructions; the rest is the caller's promise.
            unsafe { (self.run)(product) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn table(isa: Isa, format: Format) -> Run {
    use crate::x86::{avx2, avx512};
    match isa {
        Isa::Avx512Vnni => avx512::kernel(format),
        Isa::AvxVnni => avx2::kernel_vnni(format),
        _ => avx2::kernel(format),
    }
}

#[cfg(target_arch = "aarch64")]
fn table(_: Isa, format: Format) -> Run {
    crate::neon::kernel(format)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn table(_: Isa, _: Format) -> Run {
    unreachable!("no instruction set is available here")
}
