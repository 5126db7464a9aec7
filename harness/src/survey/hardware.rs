//! Of what the probe finds, what helps to understand speeds. Everything is named here: a new field of the probe is not in
//! a report until somebody has judged that it names nobody.

use siskin_device::probe::{Machine, Root};
use siskin_device::profile::Profile;

use crate::result::{Cache, Hardware};

/// The machine under `root`, which `machine` was probed from.
pub fn describe(root: &Root, machine: &Machine, profile: Option<&Profile>) -> Hardware {
    let (cpus, ram) = (&machine.cpus, &machine.ram);
    let mut max_mhz: Vec<u64> = cpus.details.iter().filter_map(|cpu| cpu.max_mhz).collect();
    max_mhz.sort_unstable_by(|a, b| b.cmp(a));
    max_mhz.dedup();
    let throttle = machine.heat.throttle.map(|throttle| throttle.since_start());
    Hardware {
        compatible: machine.board.compatible.clone(),
        // A user's own profile may have any name.
        profile: profile
            .filter(|profile| !profile.user)
            .map(|profile| profile.name.clone()),
        cpus_online: cpus.details.len(),
        cpus_big: cpus.big,
        cores: cpus.physical,
        quota_cpus: cpus.quota,
        max_mhz,
        cpu_isa: cpus.isa.iter().map(|isa| isa.name().to_owned()).collect(),
        governor: cpus.governor.clone(),
        caches: caches(root),
        page_bytes: rustix::param::page_size() as u64,
        huge_pages: huge_pages(root),
        ram_bytes: ram.total_bytes,
        usable_bytes: ram.usable_bytes,
        swap_bytes: ram.swap_bytes,
        zram_bytes: ram.zram_bytes,
        sensors: machine.heat.zones.iter().map(|zone| zone.kind.clone()).collect(),
        slowed_since_boot: throttle.into_iter().flatten().map(str::to_owned).collect(),
    }
}

/// The caches of the first CPU (kernel documentation, `sysfs-devices-system-cpu`).
fn caches(root: &Root) -> Vec<Cache> {
    const FOLDER: &str = "sys/devices/system/cpu/cpu0/cache";
    let cache = |index: &String| {
        let text = |file: &str| root.text(&format!("{FOLDER}/{index}/{file}"));
        Some(Cache {
            level: text("level")?.parse().ok()?,
            kind: text("type")?,
            bytes: text("size")?
                .strip_suffix('K')?
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)?,
        })
    };
    root.names(FOLDER, "index").iter().filter_map(cache).collect()
}

/// The word in brackets of `always [madvise] never`.
fn huge_pages(root: &Root) -> Option<String> {
    let text = root.text("sys/kernel/mm/transparent_hugepage/enabled")?;
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_described_from_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        const CACHE: &str = "sys/devices/system/cpu/cpu0/cache";
        let files = [
            (format!("{CACHE}/index0/level"), "1\n"),
            (format!("{CACHE}/index0/type"), "Data\n"),
            (format!("{CACHE}/index0/size"), "64K\n"),
            (format!("{CACHE}/index1/level"), "3\n"),
            (
                "sys/kernel/mm/transparent_hugepage/enabled".into(),
                "always [madvise] never\n",
            ),
            ("proc/sys/kernel/hostname".into(), "bobs-pi\n"),
        ];
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let root = Root::at(folder.path());
        let found = describe(&root, &Machine::probe(&root), None);
        let cache = Cache {
            level: 1,
            kind: "Data".into(),
            bytes: 65536,
        };
        assert_eq!(found.caches, [cache]);
        assert_eq!(found.huge_pages.as_deref(), Some("madvise"));
        assert!(found.page_bytes >= 4096);
        let text = serde_json::to_string(&found).expect("JSON");
        let back: Hardware = serde_json::from_str(&text).expect("the same shape");
        assert_eq!(back, found);
        assert!(!text.contains("bobs"), "{text}");
    }
}
