//! Instruction sets that the kernels are written for.

/// An instruction set that has kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// AVX-512 F, BW, VL, DQ and VNNI: Ice Lake, Zen 4 and later.
    Avx512Vnni,
    /// AVX2 with AVX-VNNI: Alder Lake and later.
    AvxVnni,
    /// AVX2, FMA and F16C: Haswell, Zen and later.
    Avx2,
    /// NEON with the 8-bit dot product and half precision: Cortex-A76 (Raspberry Pi 5) and later.
    NeonDotprod,
}

impl Isa {
    /// Every instruction set, the best first.
    pub const ALL: [Isa; 4] = [Isa::Avx512Vnni, Isa::AvxVnni, Isa::Avx2, Isa::NeonDotprod];

    /// The name as shown to users, such as `AVX2`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512Vnni => "AVX-512 VNNI",
            Isa::AvxVnni => "AVX-VNNI",
            Isa::Avx2 => "AVX2",
            Isa::NeonDotprod => "NEON dotprod",
        }
    }

    /// Whether this CPU and its operating system support the instructions.
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        match self {
            Isa::Avx512Vnni => {
                avx2 && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
            }
            Isa::AvxVnni => avx2 && is_x86_feature_detected!("avxvnni"),
            Isa::Avx2 => avx2,
            Isa::NeonDotprod => false,
        }
    }

    /// Whether this CPU and its operating system support the instructions.
    #[cfg(target_arch = "aarch64")]
    pub fn is_available(self) -> bool {
        use std::arch::is_aarch64_feature_detected as has;
        match self {
            Isa::NeonDotprod => has!("neon") && has!("dotprod") && has!("fp16"),
            Isa::Avx512Vnni | Isa::AvxVnni | Isa::Avx2 => false,
        }
    }

    /// Always false: there are no kernels for this architecture.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub fn is_available(self) -> bool {
        false
    }

    /// The best instruction set that this CPU has; `None` if it has none of them.
    pub fn best() -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.is_available())
    }
}
