//! Instruction sets that llama.cpp's kernels can use, and how each source names them.

use serde::{Deserialize, Serialize};

/// A processor architecture that siskin runs on, named as Rust names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuArch {
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
}

/// An extension of an architecture that changes which kernels llama.cpp compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are the vendors'
pub enum Isa {
    Neon,
    Fp16,
    Dotprod,
    I8mm,
    Sve,
    Sve2,
    Sme,
    Ssse3,
    Sse42,
    Avx,
    F16c,
    Fma,
    Bmi2,
    Avx2,
    AvxVnni,
    Avx512,
    Avx512Vbmi,
    Avx512Vnni,
    Avx512Bf16,
    AmxInt8,
}

/// One extension: the name here, the flags in `/proc/cpuinfo` that together mean it (any of the alternatives, each
/// a list of words), the name in llama.cpp's list of features ("" where it names none).
type Row = (Isa, &'static str, &'static [&'static str], &'static str);

/// Flags of `/proc/cpuinfo`: the kernel's arch/arm64/kernel/cpuinfo.c, arch/arm/kernel/setup.c and
/// arch/x86/include/asm/cpufeatures.h. A 64-bit ARM kernel says `asimd` for what a 32-bit one calls `neon`.
const TABLE: [Row; 20] = [
    (Isa::Neon, "neon", &["asimd", "neon"], "NEON"),
    (Isa::Fp16, "fp16", &["asimdhp"], "FP16_VA"),
    (Isa::Dotprod, "dotprod", &["asimddp"], "DOTPROD"),
    (Isa::I8mm, "i8mm", &["i8mm"], "MATMUL_INT8"),
    (Isa::Sve, "sve", &["sve"], "SVE"),
    (Isa::Sve2, "sve2", &["sve2"], ""),
    (Isa::Sme, "sme", &["sme"], "SME"),
    (Isa::Ssse3, "ssse3", &["ssse3"], "SSSE3"),
    (Isa::Sse42, "sse42", &["sse4_2"], ""),
    (Isa::Avx, "avx", &["avx"], "AVX"),
    (Isa::F16c, "f16c", &["f16c"], "F16C"),
    (Isa::Fma, "fma", &["fma"], "FMA"),
    (Isa::Bmi2, "bmi2", &["bmi2"], "BMI2"),
    (Isa::Avx2, "avx2", &["avx2"], "AVX2"),
    (Isa::AvxVnni, "avx_vnni", &["avx_vnni"], "AVX_VNNI"),
    (
        Isa::Avx512,
        "avx512",
        &["avx512f avx512cd avx512bw avx512dq avx512vl"],
        "AVX512",
    ),
    (Isa::Avx512Vbmi, "avx512_vbmi", &["avx512vbmi"], "AVX512_VBMI"),
    (Isa::Avx512Vnni, "avx512_vnni", &["avx512_vnni"], "AVX512_VNNI"),
    (Isa::Avx512Bf16, "avx512_bf16", &["avx512_bf16"], "AVX512_BF16"),
    (Isa::AmxInt8, "amx_int8", &["amx_tile amx_int8"], "AMX_INT8"),
];

impl Isa {
    /// Every extension, in the order of the table.
    pub fn all() -> impl Iterator<Item = Isa> {
        TABLE.iter().map(|row| row.0)
    }

    /// The name used in profiles and output.
    pub fn name(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// The extensions that the flags of a `/proc/cpuinfo` line mean.
    pub fn from_flags(flags: &str) -> Vec<Isa> {
        let words: Vec<&str> = flags.split_whitespace().collect();
        let has = |all: &&str| all.split(' ').all(|flag| words.contains(&flag));
        TABLE
            .iter()
            .filter(|row| row.2.iter().any(|all| has(&all)))
            .map(|row| row.0)
            .collect()
    }

    /// The extensions that llama.cpp says its kernels were compiled with, by its own names.
    pub fn from_ggml<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Isa> {
        let names: Vec<&str> = names.into_iter().collect();
        let named = |row: &&Row| !row.3.is_empty() && names.contains(&row.3);
        TABLE.iter().filter(named).map(|row| row.0).collect()
    }

    /// True where llama.cpp reports this extension, so that its absence from the report means something.
    pub fn is_reported(self) -> bool {
        !TABLE[self as usize].3.is_empty()
    }

    /// True where kernels for this extension make matrix products a good deal faster, so that a binary without
    /// them is worth a warning.
    pub fn matters(self) -> bool {
        matches!(
            self,
            Isa::Dotprod | Isa::I8mm | Isa::Avx2 | Isa::Avx512 | Isa::Avx512Vnni
        )
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum_and_serde_uses_its_names() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
            let json = serde_json::to_string(&row.0).expect("a name");
            assert_eq!(json, format!("{:?}", row.1), "serde and the table agree");
        }
    }

    #[test]
    fn flags_and_features() {
        let a76 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp";
        assert_eq!(Isa::from_flags(a76), [Isa::Neon, Isa::Fp16, Isa::Dotprod]);
        assert_eq!(
            Isa::from_flags("half thumb fastmult vfp edsp neon vfpv3 vfpv4"),
            [Isa::Neon]
        );
        // AVX-512 means all five of its parts: a Knights Landing has only some.
        assert_eq!(Isa::from_flags("avx512f avx512cd"), []);
        assert_eq!(
            Isa::from_flags("avx512f avx512cd avx512bw avx512dq avx512vl"),
            [Isa::Avx512]
        );
        assert_eq!(Isa::from_ggml(["AVX2", "LLAMAFILE", "OPENMP"]), [Isa::Avx2]);
    }
}
