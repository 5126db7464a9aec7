//! Instruction sets that llama.cpp's kernels can use, and the name each source gives them.

use serde::{Deserialize, Serialize};

/// A processor architecture that siskin runs on, named as in Rust.
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

/// An instruction-set extension that changes which kernels llama.cpp compiles.
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

/// One extension: its name here; the flags in `/proc/cpuinfo` that mean it (alternatives, each a list of
/// words that must all be present); its name in llama.cpp's list of features ("" if llama.cpp does not list
/// it).
type Row = (Isa, &'static str, &'static [&'static str], &'static str);

/// Flags of `/proc/cpuinfo`: the kernel's arch/arm64/kernel/cpuinfo.c, arch/arm/kernel/setup.c and
/// arch/x86/include/asm/cpufeatures.h. A 64-bit ARM kernel writes `asimd`, a 32-bit one writes `neon`.
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
        let has = |all: &str| all.split(' ').all(|flag| words.contains(&flag));
        TABLE
            .iter()
            .filter(|row| row.2.iter().any(|all| has(all)))
            .map(|row| row.0)
            .collect()
    }

    /// The extensions that llama.cpp reports its kernels were compiled with, from llama.cpp's names.
    pub fn from_ggml<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Isa> {
        let names: Vec<&str> = names.into_iter().collect();
        let named = |row: &&Row| !row.3.is_empty() && names.contains(&row.3);
        TABLE.iter().filter(named).map(|row| row.0).collect()
    }

    /// Whether llama.cpp reports this extension, so that its absence from the report means something.
    pub fn is_reported(self) -> bool {
        !TABLE[self as usize].3.is_empty()
    }

    /// Whether kernels for this extension make matrix products so much faster that a binary without them
    /// deserves a warning.
    pub fn matters(self) -> bool {
        matches!(
            self,
            Isa::Dotprod | Isa::I8mm | Isa::Avx2 | Isa::Avx512 | Isa::Avx512Vnni
        )
    }
}

/// Compares the extensions a binary was compiled with against those of a CPU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Extensions that the CPU has and that matter, but that the binary's kernels do not use.
    pub unused: Vec<Isa>,
    /// Extensions that the binary uses but the CPU lacks: the program will stop with an illegal instruction.
    pub lacking: Vec<Isa>,
}

impl Fit {
    /// Compares the two lists. Extensions that llama.cpp does not report are left out.
    pub fn new(compiled: &[Isa], available: &[Isa]) -> Self {
        let without = |these: &[Isa], those: &[Isa], keep: fn(Isa) -> bool| -> Vec<Isa> {
            these
                .iter()
                .copied()
                .filter(|isa| keep(*isa) && !those.contains(isa))
                .collect()
        };
        Fit {
            unused: without(available, compiled, Isa::matters),
            lacking: without(compiled, available, Isa::is_reported),
        }
    }

    /// A warning with its remedy, if there is one to give; `profile` is the profile that fits the CPU.
    pub fn warning(&self, profile: &str) -> Option<String> {
        let names = |list: &[Isa]| list.iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
        let remedy = format!("use the binary for {profile}, or build siskin on this machine");
        if !self.lacking.is_empty() {
            let lacking = names(&self.lacking);
            return Some(format!(
                "WARNING: this binary uses {lacking}, which this CPU lacks, and will crash with an illegal instruction; {remedy}"
            ));
        }
        (!self.unused.is_empty()).then(|| {
            let unused = names(&self.unused);
            format!("WARNING: this binary does not use {unused} of this CPU, and is slower than it could be; {remedy}")
        })
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
        // AVX-512 here means all five parts: a Knights Landing has only some of them.
        assert_eq!(Isa::from_flags("avx512f avx512cd"), []);
        assert_eq!(
            Isa::from_flags("avx512f avx512cd avx512bw avx512dq avx512vl"),
            [Isa::Avx512]
        );
        assert_eq!(Isa::from_ggml(["AVX2", "LLAMAFILE", "OPENMP"]), [Isa::Avx2]);
    }

    #[test]
    fn what_is_unused_or_lacking_is_reported_with_the_remedy() {
        let a76 = [Isa::Neon, Isa::Fp16, Isa::Dotprod];
        let v3 = Isa::from_flags("ssse3 sse4_2 avx f16c fma bmi2 avx2");
        let v2 = Isa::from_flags("ssse3 sse4_2");
        let cases: [(&[Isa], &[Isa], &str); 5] = [
            (&[Isa::Neon], &a76, "does not use dotprod of this CPU"),
            (&a76, &[Isa::Neon], "uses fp16, dotprod, which this CPU lacks"),
            (&v2, &v3, "does not use avx2 of"),
            (&v3, &v2, "uses avx, f16c, fma, bmi2, avx2, which"),
            (&a76, &a76, ""),
        ];
        for (compiled, available, want) in cases {
            let warning = Fit::new(compiled, available).warning("mine").unwrap_or_default();
            assert!(
                warning.contains(want) && want.is_empty() == warning.is_empty(),
                "{warning}"
            );
            assert!(
                warning.is_empty() || warning.contains("the binary for mine"),
                "{warning}"
            );
        }
    }
}
