//! The kernel that computes a product.

use crate::product::{Next, Run};
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

    /// Computes the rows of `product` that `next` gives, which may be divided among threads: every thread has the
    /// same product and other rows. What is needed of the columns is made ready once for all of them.
    ///
    /// # Safety
    /// `rows` must point at `count` rows of `blocks` whole blocks each, `stride` bytes apart, aligned to two
    /// bytes; `column` at `columns` columns of `blocks` blocks each, `column_stride` bytes apart, with their
    /// alignment; `out` at room for `count` numbers of each column, `out_stride` apart, that no other thread
    /// touches meanwhile.
    /// # Panics
    /// If a range is not within the product's rows.
    pub unsafe fn run(&self, product: &Product, next: Next<'_>) {
        let mut checked = || {
            let rows = next()?;
            assert!(
                rows.start <= rows.end && rows.end <= product.count,
                "rows of the product"
            );
            Some(rows)
        };
        if product.count > 0 && product.blocks > 0 {
            // SAFETY: `new` has checked that the CPU has the instructions; the rest is the caller's promise.
            unsafe { (self.run)(product, &mut checked) }
        }
    }

    /// Computes all rows of `product`.
    ///
    /// # Safety
    /// As [`Kernel::run`].
    pub unsafe fn run_all(&self, product: &Product) {
        let mut all = Some(0..product.count);
        // SAFETY: the caller's promise.
        unsafe { self.run(product, &mut || all.take()) }
    }
}

/// The kernels of one instruction set: for each format a function compiled for the features, into which everything
/// is inlined.
macro_rules! runs {
    ($format:expr, $simd:ty, $lanes:ty, $features:literal) => {
        crate::kernel::runs!($format, $features, {
            Q4K: crate::tile::run::<$simd, crate::tile::Superblocks<crate::tile::formats::Q4K>>,
            Q5K: crate::tile::run::<$simd, crate::tile::Superblocks<crate::tile::formats::Q5K>>,
            Q6K: crate::tile::run::<$simd, crate::tile::Superblocks<crate::tile::formats::Q6K>>,
            Q2K: crate::tile::run::<$simd, crate::tile::Superblocks<crate::tile::formats::Q2K>>,
            Q3K: crate::tile::run::<$simd, crate::tile::Superblocks<crate::tile::formats::Q3K>>,
            Iq4Xs: crate::tile::run::<$simd, crate::tile::Superblocks<crate::tile::formats::Iq4Xs>>,
            Q8_0: crate::tile::run::<$simd, crate::tile::Simple<crate::tile::formats::Q8_0>>,
            Q4_0: crate::tile::run::<$simd, crate::tile::Simple<crate::tile::formats::Q4_0>>,
            Q4_1: crate::tile::run::<$simd, crate::tile::Simple<crate::tile::formats::Q4_1>>,
            Q5_0: crate::tile::run::<$simd, crate::tile::Simple<crate::tile::formats::Q5_0>>,
            Q5_1: crate::tile::run::<$simd, crate::tile::Simple<crate::tile::formats::Q5_1>>,
            Iq4Nl: crate::tile::run::<$simd, crate::tile::Simple<crate::tile::formats::Iq4Nl>>,
            F16: crate::f16::run::<$lanes>,
        })
    };
    ($format:expr, $features:literal, { $($name:ident: $run:expr,)* }) => {
        match $format {
            $(crate::Format::$name => {
                /// # Safety
                /// As [`crate::Kernel::run`], on a CPU with the instructions.
                #[target_feature(enable = $features)]
                unsafe fn run(product: &crate::Product, next: crate::product::Next<'_>) {
                    // SAFETY: the caller's promise.
                    unsafe { $run(product, next) }
                }
                run
            })*
        }
    };
}
pub(crate) use runs;

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
