//! Chooses the profile that fits a machine.

use super::{Profile, Recognise};
use crate::isa::{CpuArch, Isa};
use crate::probe::Machine;

/// The traits by which a machine is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// The architecture of the running program.
    pub arch: CpuArch,
    /// The model's name; empty if unknown.
    pub model: String,
    /// Device-tree `compatible` strings.
    pub compatible: Vec<String>,
    /// The CPU's extensions.
    pub isa: Vec<Isa>,
}

impl Traits {
    /// Collects the traits of a machine.
    pub fn from_machine(machine: &Machine) -> Self {
        Traits {
            arch: machine.cpus.arch,
            model: machine.board.model.clone().unwrap_or_default(),
            compatible: machine.board.compatible.clone(),
            isa: machine.cpus.isa.clone(),
        }
    }
}

/// The profile that fits best: a user's own before one compiled in, one for this board before one for any
/// board, one that requires more of the CPU before one that requires less; among equals, the first. `None` if
/// none fits.
pub fn choose<'p>(profiles: &'p [Profile], traits: &Traits) -> Option<&'p Profile> {
    let fitting = profiles.iter().filter(|profile| fits(&profile.recognise, traits));
    fitting.rev().max_by_key(|profile| {
        let by = &profile.recognise;
        let board = !by.compatible.is_empty() || !by.models.is_empty();
        (profile.user, board, by.features.len())
    })
}

fn fits(by: &Recognise, traits: &Traits) -> bool {
    let one_of =
        |wanted: &[String], has: &dyn Fn(&String) -> bool| wanted.is_empty() || wanted.iter().any(has);
    by.arch == traits.arch
        && one_of(&by.compatible, &|name| traits.compatible.contains(name))
        && one_of(&by.models, &|name| traits.model.starts_with(name.as_str()))
        && by.features.iter().all(|isa| traits.isa.contains(isa))
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::*;

    fn traits(arch: CpuArch, compatible: &[&str], flags: &str) -> Traits {
        Traits {
            arch,
            model: "A board".into(),
            compatible: compatible.iter().map(|&name| name.into()).collect(),
            isa: Isa::from_flags(flags),
        }
    }

    #[test]
    fn machines_and_their_profiles() {
        let v3 = "ssse3 sse4_2 avx f16c fma bmi2 avx2";
        let v4 =
            "ssse3 sse4_2 avx f16c fma bmi2 avx2 avx512f avx512cd avx512bw avx512dq avx512vl avx512_vnni";
        let (arm, x86) = (CpuArch::Aarch64, CpuArch::X86_64);
        let cases = [
            (
                traits(arm, &["raspberrypi,5-model-b", "brcm,bcm2712"], "asimd asimddp"),
                Some("raspberry-pi-5"),
            ),
            (
                traits(arm, &["raspberrypi,4-model-b", "brcm,bcm2711"], "asimd"),
                Some("raspberry-pi-4"),
            ),
            (
                traits(CpuArch::Arm, &["raspberrypi,4-model-b", "brcm,bcm2711"], "neon"),
                Some("armv7"),
            ),
            (
                traits(arm, &["radxa,rock-5b", "rockchip,rk3588"], "asimd asimddp"),
                Some("rk3588"),
            ),
            (traits(arm, &[], "asimd"), Some("aarch64-generic")),
            (traits(x86, &[], "ssse3 sse4_2"), Some("x86-64-v2")),
            (traits(x86, &[], v3), Some("x86-64-v3")),
            (traits(x86, &[], v4), Some("x86-64-v4")),
            (
                traits(x86, &[], v4.trim_end_matches(" avx512_vnni")),
                Some("x86-64-v3"),
            ),
            (traits(x86, &[], "ssse3"), None),
        ];
        let profiles = builtin();
        for (traits, want) in cases {
            let found = choose(&profiles, &traits).map(|profile| profile.name.as_str());
            assert_eq!(found, want, "{traits:?}");
        }
    }

    #[test]
    fn a_users_own_profile_comes_first() {
        let mut profiles = builtin();
        let mut own = profiles
            .iter()
            .find(|p| p.name == "x86-64-v2")
            .expect("there")
            .clone();
        (own.name, own.user) = ("mine".into(), true);
        profiles.push(own);
        let traits = traits(CpuArch::X86_64, &[], "ssse3 sse4_2 avx f16c fma bmi2 avx2");
        assert_eq!(choose(&profiles, &traits).map(|p| p.name.as_str()), Some("mine"));
    }
}
