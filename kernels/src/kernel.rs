//! The kernel that computes a product.

use crate::product::Run;
use crate::{Format, Isa, Product};

/// A kernel for one format on one instruction set, which this CPU has.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    format: Format,
    isa: Isa,
    run: Run,
}

impl Kernel {
    /// The kernel for `format` on `isa`; `None` if this CPU lacks the instructions.
    pub fn new(format: Format, isa: Isa) -> Option<Kernel> {
        let run = isa.is_available().then(|| table(isa, format))?;
        Some(Kernel { format, isa, run })
    }

    /// The format of the rows that it multiplies.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The instruction set that it uses.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Computes `product`.
    ///
    /// # Safety
    /// `rows` must point at `count` rows of `blocks` whole blocks each, `stride` bytes apart, aligned to two
    /// bytes; `column` at `blocks` blocks of its format, with their alignment; `out` at room for `count`
    /// numbers that no other thread touches meanwhile.
    pub unsafe fn run(&self, product: &Product) {
        if product.count > 0 {
            // SAFETY: `new` has checked that the CPU has the instructions; the rest is the caller's promise.
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
