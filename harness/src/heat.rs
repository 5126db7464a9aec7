//! Temperature, clock and throttling, before and after a measurement.

use crate::result::Heat;
use siskin_device::probe::{self, Root};

const CPUS: &str = "sys/devices/system/cpu";

/// The machine's state at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    heat: probe::Heat,
    /// The mean clock of all CPUs, if the system reports it.
    hertz: Option<f64>,
    /// Whether the kernel now limits the clock because of heat, if it reports that.
    cooling: Option<bool>,
}

impl State {
    /// Reads the machine's state.
    pub(crate) fn now(root: &Root) -> Self {
        State {
            heat: probe::Heat::probe(root),
            hertz: clock(root),
            cooling: cooling(root),
        }
    }

    /// The hottest sensor.
    pub(crate) fn celsius(&self) -> Option<f64> {
        self.heat.hottest().map(|zone| zone.celsius)
    }

    /// The mean clock of all CPUs.
    pub(crate) fn hertz(&self) -> Option<f64> {
        self.hertz
    }

    /// What a Raspberry Pi's firmware says slows it down now.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let now = self.heat.throttle.map(|throttle| throttle.now());
        now.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// What happened between two moments; `None` if the system reports nothing about heat.
pub(crate) fn between(before: &State, after: &State) -> Option<Heat> {
    let reported = (!after.heat.cannot_tell()).then(|| after.heat.throttled_since(&before.heat));
    let cooled = before
        .cooling
        .zip(after.cooling)
        .map(|(before, after)| before || after);
    let heat = Heat {
        before_celsius: before.celsius(),
        after_celsius: after.celsius(),
        before_hertz: before.hertz,
        after_hertz: after.hertz,
        throttled: either(reported, cooled),
    };
    (heat != Heat::default()).then_some(heat)
}

/// Joins a later span to an earlier one.
pub(crate) fn extend(first: Option<Heat>, later: Option<Heat>) -> Option<Heat> {
    let (Some(first), Some(later)) = (first, later) else {
        return first.or(later);
    };
    let throttled = either(first.throttled, later.throttled);
    Some(Heat {
        after_celsius: later.after_celsius,
        after_hertz: later.after_hertz,
        throttled,
        ..first
    })
}

fn either(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one || other),
        _ => one.or(other),
    }
}

/// The clock from `cpufreq` if there is one, otherwise from `/proc/cpuinfo`.
fn clock(root: &Root) -> Option<f64> {
    let current = |cpu: &String| root.number(&format!("{CPUS}/{cpu}/cpufreq/scaling_cur_freq"));
    let mut hertz: Vec<f64> = root
        .names(CPUS, "cpu")
        .iter()
        .filter_map(current)
        .map(|khz| khz as f64 * 1e3)
        .collect();
    if hertz.is_empty() {
        let text = root.text("proc/cpuinfo")?;
        let megahertz = |line: &str| {
            line.strip_prefix("cpu MHz")?
                .trim_start()
                .strip_prefix(':')?
                .trim()
                .parse::<f64>()
                .ok()
        };
        hertz = text.lines().filter_map(megahertz).map(|mhz| mhz * 1e6).collect();
    }
    (!hertz.is_empty()).then(|| hertz.iter().sum::<f64>() / hertz.len() as f64)
}

/// Whether the kernel cools a CPU by lowering its clock.
fn cooling(root: &Root) -> Option<bool> {
    const THERMAL: &str = "sys/class/thermal";
    let state = |device: &String| {
        let kind = root.text(&format!("{THERMAL}/{device}/type"))?;
        kind.contains("cpufreq")
            .then(|| root.number(&format!("{THERMAL}/{device}/cur_state")))?
    };
    let states = root
        .names(THERMAL, "cooling_device")
        .iter()
        .filter_map(state)
        .collect::<Vec<u64>>();
    (!states.is_empty()).then(|| states.iter().any(|&state| state > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        root
    }

    fn now(root: &tempfile::TempDir) -> State {
        State::now(&Root::at(root.path()))
    }

    #[test]
    fn a_pi_and_a_laptop_tell_heat_and_clock() {
        let pi = machine(&[
            ("sys/class/thermal/thermal_zone0/temp", "61700\n"),
            ("sys/class/thermal/thermal_zone1/temp", "55000\n"),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
                "2400000\n",
            ),
            (
                "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq",
                "1500000\n",
            ),
        ]);
        let state = now(&pi);
        assert_eq!((state.celsius(), state.hertz), (Some(61.7), Some(1.95e9)));
        let laptop = machine(&[("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2600.000\n")]);
        assert_eq!(now(&laptop).hertz, Some(2.6e9));
        let nothing = now(&machine(&[]));
        assert_eq!(between(&nothing, &nothing), None);
    }

    #[test]
    fn throttling_is_seen_if_the_system_reports_it() {
        let pi = |bits: &str| machine(&[("sys/devices/platform/soc/soc:firmware/get_throttled", bits)]);
        let intel = |count: &str| {
            machine(&[(
                "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
                count,
            )])
        };
        let arm = |state: &str| {
            const DEVICE: &str = "sys/class/thermal/cooling_device0";
            machine(&[
                (&format!("{DEVICE}/type"), "cpufreq-cpu0\n"),
                (&format!("{DEVICE}/cur_state"), state),
            ])
        };
        let cases = [
            (pi("0\n"), pi("0\n"), Some(false)),
            (pi("60000\n"), pi("60000\n"), Some(false)), // before this run
            (pi("0\n"), pi("60006\n"), Some(true)),
            (intel("5"), intel("5"), Some(false)),
            (intel("5"), intel("6"), Some(true)),
            (arm("0"), arm("0"), Some(false)),
            (arm("0"), arm("2"), Some(true)),
            (machine(&[]), machine(&[]), None),
        ];
        for (number, (before, after, want)) in cases.iter().enumerate() {
            let heat = between(&now(before), &now(after));
            assert_eq!(heat.and_then(|heat| heat.throttled), *want, "case {number}");
        }
    }

    #[test]
    fn spans_join() {
        let span = |before, after, throttled| Heat {
            before_celsius: Some(before),
            after_celsius: Some(after),
            throttled,
            ..Heat::default()
        };
        let joined = extend(
            Some(span(50.0, 55.0, Some(true))),
            Some(span(54.0, 60.0, Some(false))),
        );
        assert_eq!(joined, Some(span(50.0, 60.0, Some(true))));
        assert_eq!(extend(None, joined), joined);
    }
}
