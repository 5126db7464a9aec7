//! The fixtures under `tests/data/devices`, machine by machine.

use std::path::PathBuf;

use super::*;
use crate::isa::Isa;
use crate::profile::{Traits, builtin, choose};

fn fixture(name: &str) -> Root {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../tests/data/devices", name]
        .iter()
        .collect();
    assert!(path.is_dir(), "{}", path.display());
    Root::at(path)
}

/// A fixture and the values expected from it.
struct Case {
    fixture: &'static str,
    model: Option<&'static str>,
    profile: &'static str,
    cpu: &'static str,
    /// CPUs online, available, big, physical.
    cpus: [usize; 4],
    usable_mib: u64,
    /// Swap in total, and the part on zram.
    swap_kib: [u64; 2],
    hottest: Option<f64>,
    throttled: Option<&'static [&'static str]>,
}

const CASES: [Case; 6] = [
    Case {
        fixture: "raspberry-pi-5",
        model: Some("Raspberry Pi 5 Model B Rev 1.0"),
        profile: "raspberry-pi-5",
        cpu: "Cortex-A76",
        cpus: [4, 4, 4, 4],
        usable_mib: 1616,
        swap_kib: [524_272, 524_272],
        hottest: Some(52.35),
        throttled: Some(&[]),
    },
    Case {
        fixture: "raspberry-pi-4",
        model: Some("Raspberry Pi 4 Model B Rev 1.4"),
        profile: "raspberry-pi-4",
        cpu: "Cortex-A72",
        cpus: [4, 4, 4, 4],
        usable_mib: 3320,
        swap_kib: [102_396, 0],
        hottest: Some(82.1),
        throttled: Some(&["frequency capped", "throttled", "soft temperature limit"]),
    },
    Case {
        fixture: "rk3588",
        model: Some("Radxa ROCK 5B"),
        profile: "rk3588",
        cpu: "Cortex-A55 + Cortex-A76",
        cpus: [8, 8, 4, 8],
        usable_mib: 7128,
        swap_kib: [0, 0],
        hottest: Some(43.4),
        throttled: None,
    },
    Case {
        fixture: "x86-laptop",
        model: Some("LENOVO ThinkPad T480s"),
        profile: "x86-64-v3",
        cpu: "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz",
        cpus: [8, 8, 8, 4],
        usable_mib: 4003,
        swap_kib: [2_097_148, 0],
        hottest: Some(61.0),
        throttled: None,
    },
    // The pod's 768 MiB minus 100 MiB that cannot be dropped; a quota of 1.5 CPUs counts as one.
    Case {
        fixture: "container",
        model: None,
        profile: "x86-64-v3",
        cpu: "AMD EPYC 7B12",
        cpus: [8, 1, 1, 1],
        usable_mib: 668,
        swap_kib: [0, 0],
        hottest: None,
        throttled: None,
    },
    Case {
        fixture: "container-v1",
        model: None,
        profile: "x86-64-v3",
        cpu: "AMD EPYC 7B12",
        cpus: [8, 2, 2, 2],
        usable_mib: 462,
        swap_kib: [0, 0],
        hottest: None,
        throttled: None,
    },
];

#[test]
fn every_fixture_reads_as_the_machine_it_is() {
    let profiles = builtin();
    for case in CASES {
        let machine = Machine::probe(&fixture(case.fixture));
        let at = case.fixture;
        assert_eq!(machine.notes, Vec::<String>::new(), "{at}");
        assert_eq!(machine.board.model.as_deref(), case.model, "{at}");
        assert_eq!(machine.cpus.name.as_deref(), Some(case.cpu), "{at}");
        let cpus = &machine.cpus;
        assert_eq!(
            [cpus.details.len(), cpus.available, cpus.big, cpus.physical],
            case.cpus,
            "{at}"
        );
        let ram = &machine.ram;
        assert_eq!(ram.usable_bytes >> 20, case.usable_mib, "{at}");
        assert_eq!(
            [ram.swap_bytes, ram.zram_bytes],
            case.swap_kib.map(|kib| kib * 1024),
            "{at}"
        );
        assert_eq!(
            machine.heat.hottest().map(|zone| zone.celsius),
            case.hottest,
            "{at}"
        );
        assert_eq!(
            machine.heat.throttle.map(Throttle::now).as_deref(),
            case.throttled,
            "{at}"
        );
        let profile = choose(&profiles, &Traits::from_machine(&machine)).map(|profile| profile.name.as_str());
        assert_eq!(profile, Some(case.profile), "{at}");
    }
}

#[test]
fn throttling_is_told_by_the_firmware_or_by_a_count_that_rose() {
    let at_rest = Heat::probe(&fixture("raspberry-pi-5"));
    let hot = Heat::probe(&fixture("raspberry-pi-4"));
    assert!(hot.throttled_since(&hot) && !at_rest.throttled_since(&at_rest));
    assert_eq!(hot.throttle.expect("a Pi").since_start().len(), 4);
    let laptop = Heat::probe(&fixture("x86-laptop"));
    assert_eq!(laptop.throttle_events, Some(3));
    let mut later = laptop.clone();
    assert!(!later.throttled_since(&laptop));
    later.throttle_events = Some(4);
    assert!(later.throttled_since(&laptop));
    assert!(Heat::probe(&fixture("container")).cannot_tell());
}

#[test]
fn an_unreadable_entry_is_replaced_and_reported() {
    // Root cannot read a folder as a file either.
    let root = tempfile::tempdir().expect("a folder");
    for entry in ["proc/meminfo", "proc/cpuinfo"] {
        std::fs::create_dir_all(root.path().join(entry)).expect("made");
    }
    let machine = Machine::probe(&Root::at(root.path()));
    assert_eq!((machine.cpus.available, machine.ram.usable_bytes), (1, 0));
    let notes = machine.notes.join("\n");
    for want in ["/proc/meminfo: ", "/proc/cpuinfo: ", "assumes no free memory"] {
        assert!(notes.contains(want), "{notes}");
    }
}

#[test]
fn an_old_kernel_without_memavailable() {
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(root.path().join("proc")).expect("made");
    let text = "MemTotal: 1000 kB\nMemFree: 300 kB\nCached: 200 kB\n";
    std::fs::write(root.path().join("proc/meminfo"), text).expect("written");
    let machine = Machine::probe(&Root::at(root.path()));
    assert_eq!(machine.ram.usable_bytes, 500 * 1024);
    assert!(machine.notes[0].contains("MemAvailable"), "{:?}", machine.notes);
}

#[test]
fn this_machine_has_cpus_and_memory() {
    let machine = Machine::probe(&Root::system());
    assert!(machine.cpus.available >= 1 && machine.cpus.available <= machine.cpus.details.len());
    assert!(machine.ram.usable_bytes > 0 && machine.ram.usable_bytes <= machine.ram.total_bytes);
    let baseline = if cfg!(target_arch = "x86_64") {
        Isa::Ssse3
    } else {
        Isa::Neon
    };
    assert!(machine.cpus.isa.contains(&baseline), "{:?}", machine.cpus.isa);
}
