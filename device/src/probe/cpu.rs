//! CPUs: how many there are, of which kind, which ones this process may use, and their extensions.

use serde::Serialize;

use super::Root;
use super::cgroup::Groups;
use crate::isa::{CpuArch, Isa};

/// The CPUs of a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cpus {
    /// The CPUs' architecture.
    pub arch: CpuArch,
    /// The CPU's name, if the system reports one; several kinds are joined by " + ".
    pub name: Option<String>,
    /// Each CPU that is online.
    pub details: Vec<Detail>,
    /// The CPU time this process may use, in CPUs, if a control group limits it.
    pub quota: Option<f64>,
    /// The number of CPUs this process may use, after affinity and quota.
    pub available: usize,
    /// How many of the available CPUs are of the fast kind.
    pub big: usize,
    /// How many physical cores the available CPUs belong to.
    pub physical: usize,
    /// Instruction-set extensions.
    pub isa: Vec<Isa>,
    /// The kernel's policy for choosing frequencies.
    pub governor: Option<String>,
}

/// One CPU.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detail {
    /// The kernel's number of this CPU, from 0.
    pub id: usize,
    /// Whether it is of the fast kind; true for all CPUs if there is only one kind.
    pub big: bool,
    /// Its maximum frequency in MHz.
    pub max_mhz: Option<u64>,
    /// Whether affinity allows this process to use it.
    pub allowed: bool,
    /// Whether it is the first of the CPUs that share a core.
    pub first_of_core: bool,
}

const FOLDER: &str = "sys/devices/system/cpu";

/// A CPU is of the fast kind if its capacity is at least this share of the fastest one's: the fast clusters
/// of an RK3588 differ by 2 %, Intel's favoured cores by 5 %, and little cores have about half.
const BIG: f64 = 0.8;

/// ARM's numbers for its cores (`CPU part`, from the cores' technical reference manuals: MIDR_EL1).
const ARM_PARTS: [(u32, &str); 18] = [
    (0xc07, "Cortex-A7"),
    (0xc0f, "Cortex-A15"),
    (0xd03, "Cortex-A53"),
    (0xd04, "Cortex-A35"),
    (0xd05, "Cortex-A55"),
    (0xd07, "Cortex-A57"),
    (0xd08, "Cortex-A72"),
    (0xd09, "Cortex-A73"),
    (0xd0a, "Cortex-A75"),
    (0xd0b, "Cortex-A76"),
    (0xd0c, "Neoverse-N1"),
    (0xd0d, "Cortex-A77"),
    (0xd40, "Neoverse-V1"),
    (0xd41, "Cortex-A78"),
    (0xd46, "Cortex-A510"),
    (0xd47, "Cortex-A710"),
    (0xd49, "Neoverse-N2"),
    (0xd4f, "Neoverse-V2"),
];

impl Cpus {
    pub(super) fn probe(root: &Root, groups: &Groups) -> Self {
        let info = root.text("proc/cpuinfo").unwrap_or_default();
        let flags = field(&info, "flags").or_else(|| field(&info, "Features"));
        let details = details(root, &info);
        let allowed: Vec<&Detail> = details.iter().filter(|cpu| cpu.allowed).collect();
        let quota = groups.cpu_quota(root);
        let most = quota.map_or(usize::MAX, |cpus| (cpus as usize).max(1));
        let count = |keep: fn(&Detail) -> bool| allowed.iter().filter(|cpu| keep(cpu)).count().clamp(1, most);
        Cpus {
            arch: arch(root, &info, flags),
            name: name(&info),
            quota,
            available: count(|_| true),
            big: count(|cpu| cpu.big),
            physical: count(|cpu| cpu.first_of_core),
            isa: flags.map_or_else(|| detected(root), Isa::from_flags),
            governor: root.text(&format!("{FOLDER}/cpu0/cpufreq/scaling_governor")),
            details,
        }
    }
}

/// The value of the first line `name : value`.
fn field<'t>(info: &'t str, name: &str) -> Option<&'t str> {
    values(info, name).next()
}

fn values<'t>(info: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    info.lines().filter_map(move |line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The program's own architecture on the running system; otherwise a guess from `cpuinfo`.
fn arch(root: &Root, info: &str, flags: Option<&str>) -> CpuArch {
    let has = |flag: &str| flags.is_some_and(|flags| flags.split_whitespace().any(|word| word == flag));
    match CpuArch::current() {
        Some(arch) if root.is_system() => arch,
        _ if has("asimd") => CpuArch::Aarch64,
        _ if field(info, "CPU architecture").is_some() => CpuArch::Arm,
        _ => CpuArch::X86_64,
    }
}

fn name(info: &str) -> Option<String> {
    // A 32-bit ARM kernel writes a `model name` that contains no more than "ARMv7".
    if let Some(name) = field(info, "model name").filter(|name| !name.starts_with("ARM")) {
        return Some(name.to_owned());
    }
    let number = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let mut kinds: Vec<&str> = Vec::new();
    for part in values(info, "CPU part").filter_map(number) {
        let row = ARM_PARTS.iter().find(|row| row.0 == part);
        kinds.extend(row.map(|row| row.1).filter(|name| !kinds.contains(name)));
    }
    (!kinds.is_empty()).then(|| kinds.join(" + "))
}

fn details(root: &Root, info: &str) -> Vec<Detail> {
    let online = root
        .text(&format!("{FOLDER}/online"))
        .and_then(|text| cpu_list(&text));
    let ids = online.unwrap_or_else(|| {
        let processors = values(info, "processor").count();
        let count = match processors {
            0 if root.is_system() => {
                root.note("/proc/cpuinfo and /sys list no CPUs; siskin uses the scheduler's number".into());
                crate::available_cpus()
            }
            count => count.max(1),
        };
        (0..count).collect()
    });
    let status = root.text("proc/self/status").unwrap_or_default();
    let allowed = field(&status, "Cpus_allowed_list").and_then(cpu_list);
    let weights: Vec<Option<u64>> = ids.iter().map(|id| weight(root, *id)).collect();
    let most = weights.iter().flatten().max().copied().unwrap_or(0) as f64;
    let detail = |(&id, weight): (&usize, &Option<u64>)| {
        let entry = |name: &str| format!("{FOLDER}/cpu{id}/{name}");
        let siblings = root
            .text(&entry("topology/thread_siblings_list"))
            .and_then(|text| cpu_list(&text));
        let is_allowed = |id: &usize| allowed.as_ref().is_none_or(|list| list.contains(id));
        let first = siblings.and_then(|list| list.into_iter().find(is_allowed));
        Detail {
            id,
            big: weight.is_none_or(|weight| weight as f64 >= BIG * most),
            max_mhz: root
                .number(&entry("cpufreq/cpuinfo_max_freq"))
                .map(|khz| khz / 1000),
            allowed: is_allowed(&id),
            first_of_core: first.is_none_or(|first| first == id),
        }
    };
    ids.iter().zip(&weights).map(detail).collect()
}

/// A CPU's speed: its capacity if the kernel reports it, otherwise its maximum frequency.
fn weight(root: &Root, id: usize) -> Option<u64> {
    let entry = |name: &str| root.number(&format!("{FOLDER}/cpu{id}/{name}"));
    entry("cpu_capacity").or_else(|| entry("cpufreq/cpuinfo_max_freq"))
}

/// Parses a list as the kernel writes it, such as `0-3,6`. Returns `None` if the text is not such a list.
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    /// Far above any machine's number of CPUs; keeps a damaged list from allocating much.
    const MAX: usize = 65536;
    let mut ids = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (last < MAX).then(|| ids.extend(first..=last))?;
    }
    (!ids.is_empty()).then_some(ids)
}

/// Asks the CPU for its extensions, for systems whose `/proc/cpuinfo` does not list them.
fn detected(root: &Root) -> Vec<Isa> {
    if !root.is_system() {
        return vec![];
    }
    root.note("/proc/cpuinfo: has no flags; siskin asked the CPU itself for its extensions".into());
    asked()
        .into_iter()
        .filter(|(_, has)| *has)
        .map(|(isa, _)| isa)
        .collect()
}

#[cfg(target_arch = "x86_64")]
fn asked() -> Vec<(Isa, bool)> {
    use std::arch::is_x86_feature_detected as has;
    let avx512 =
        has!("avx512f") && has!("avx512cd") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl");
    vec![
        (Isa::Ssse3, has!("ssse3")),
        (Isa::Sse42, has!("sse4.2")),
        (Isa::Avx, has!("avx")),
        (Isa::F16c, has!("f16c")),
        (Isa::Fma, has!("fma")),
        (Isa::Bmi2, has!("bmi2")),
        (Isa::Avx2, has!("avx2")),
        (Isa::AvxVnni, has!("avxvnni")),
        (Isa::Avx512, avx512),
        (Isa::Avx512Vbmi, has!("avx512vbmi")),
        (Isa::Avx512Vnni, has!("avx512vnni")),
        (Isa::Avx512Bf16, has!("avx512bf16")),
    ]
}

#[cfg(target_arch = "aarch64")]
fn asked() -> Vec<(Isa, bool)> {
    use std::arch::is_aarch64_feature_detected as has;
    vec![
        (Isa::Neon, has!("neon")),
        (Isa::Fp16, has!("fp16")),
        (Isa::Dotprod, has!("dotprod")),
        (Isa::I8mm, has!("i8mm")),
        (Isa::Sve, has!("sve")),
        (Isa::Sve2, has!("sve2")),
    ]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn asked() -> Vec<(Isa, bool)> {
    vec![]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list("0-3,6"), Some(vec![0, 1, 2, 3, 6]));
        assert_eq!(cpu_list("2"), Some(vec![2]));
        for broken in ["", "a", "1-", "0-99999999999", "3-x"] {
            assert_eq!(cpu_list(broken), None, "{broken}");
        }
    }
}
