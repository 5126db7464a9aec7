//! Energy: from RAPL counters on x86 (`/sys/class/powercap`), or from the power chip of a Raspberry Pi 5
//! (`vcgencmd pmic_read_adc`). Both count the whole package or board, including idle power.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a Pi's power is read.
const INTERVAL: Duration = Duration::from_millis(200);

/// A way to measure energy.
#[derive(Debug, Clone)]
pub enum Meter {
    /// Counters of microjoules.
    Rapl(Rapl),
    /// A Pi's power chip.
    Pmic(Pmic),
}

/// RAPL's counters, one per package. Reading them takes microseconds.
#[derive(Debug, Clone)]
pub struct Rapl(Vec<Zone>);

/// The program that reads a Pi's power chip. It takes milliseconds.
#[derive(Debug, Clone)]
pub struct Pmic(PathBuf);

/// What RAPL's counters were.
#[derive(Debug, Clone)]
pub struct Reading(Vec<Option<u64>>);

/// A RAPL package.
#[derive(Debug, Clone)]
struct Zone {
    counter: PathBuf,
    /// The counter's maximum, after which it restarts at zero.
    range: u64,
}

impl Meter {
    /// Finds a meter of the machine under `root` (`/`), if it has one that this user may read.
    pub fn find(root: &Path, vcgencmd: &Path) -> Option<Self> {
        let zones = fs::read_dir(root.join("sys/class/powercap"))
            .into_iter()
            .flatten()
            .flatten();
        let zones: Vec<Zone> = zones.filter_map(|entry| Zone::open(&entry.path())).collect();
        if !zones.is_empty() {
            return Some(Meter::Rapl(Rapl(zones)));
        }
        let pmic = Pmic(vcgencmd.to_owned());
        pmic.watts().map(|_| Meter::Pmic(pmic))
    }

    /// The meter of this machine.
    pub fn of_this_machine() -> Option<Self> {
        Meter::find(Path::new("/"), Path::new("vcgencmd"))
    }

    /// The meter's name for people.
    pub fn source(&self) -> &'static str {
        match self {
            Meter::Rapl(_) => "RAPL package",
            Meter::Pmic(_) => "Raspberry Pi PMIC",
        }
    }

    /// Runs `work`; returns its result and the joules drawn meanwhile.
    pub fn measure<T>(&self, work: impl FnOnce() -> T) -> (T, Option<f64>) {
        match self {
            Meter::Rapl(rapl) => {
                let before = rapl.read();
                let result = work();
                let drawn = rapl.joules_since(&before);
                (result, drawn)
            }
            Meter::Pmic(pmic) => pmic.measure(work),
        }
    }
}

impl Rapl {
    /// Reads the counters.
    pub fn read(&self) -> Reading {
        Reading(self.0.iter().map(Zone::read).collect())
    }

    /// Joules drawn since; `None` if a counter cannot be read. A counter may have wrapped around once.
    pub fn joules_since(&self, before: &Reading) -> Option<f64> {
        let zones = self.0.iter().zip(&before.0);
        zones.map(|(zone, before)| zone.since((*before)?)).sum()
    }
}

impl Zone {
    /// Reads a package's zone: packages are at the top level (`intel-rapl:0`), their parts below
    /// (`intel-rapl:0:0`).
    fn open(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_str()?;
        let package = fs::read_to_string(folder.join("name"))
            .ok()?
            .starts_with("package");
        if name.matches(':').count() != 1 || !package {
            return None;
        }
        let range = fs::read_to_string(folder.join("max_energy_range_uj"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let zone = Zone {
            counter: folder.join("energy_uj"),
            range,
        };
        zone.read().map(|_| zone)
    }

    fn read(&self) -> Option<u64> {
        fs::read_to_string(&self.counter).ok()?.trim().parse().ok()
    }

    /// Joules since the counter read `before`; it may have wrapped around once.
    fn since(&self, before: u64) -> Option<f64> {
        let now = self.read()?;
        let microjoules = if now >= before {
            now - before
        } else {
            self.range.checked_sub(before)? + now
        };
        Some(microjoules as f64 / 1e6)
    }
}

impl Pmic {
    /// Averages the power read while `work` runs, and multiplies it by the duration.
    fn measure<T>(&self, work: impl FnOnce() -> T) -> (T, Option<f64>) {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = thread::Builder::new().spawn_scoped(scope, || {
                let mut readings = Vec::new();
                loop {
                    readings.extend(self.watts());
                    if done.load(Ordering::Relaxed) {
                        return readings;
                    }
                    thread::sleep(INTERVAL);
                }
            });
            let start = Instant::now();
            let result = work();
            let seconds = start.elapsed().as_secs_f64();
            done.store(true, Ordering::Relaxed);
            // Without a thread there are no readings.
            let readings = reader.map(|reader| reader.join().unwrap_or_default());
            let readings = readings.unwrap_or_default();
            let mean = readings.iter().sum::<f64>() / readings.len() as f64;
            (result, (!readings.is_empty()).then_some(mean * seconds))
        })
    }

    /// The board's power now, in watts.
    pub fn watts(&self) -> Option<f64> {
        let output = Command::new(&self.0).arg("pmic_read_adc").output().ok()?;
        sum_of_rails(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Each rail has a line with its current, `VDD_CORE_A current(7)=1.2A`, and one with its voltage, `VDD_CORE_V
/// volt(15)=0.9V`; the power in watts is the sum of the products.
fn sum_of_rails(text: &str) -> Option<f64> {
    let reading = |line: &str, kind: &str, unit: char| {
        let (name, rest) = line.trim().split_once(' ')?;
        let value = rest
            .strip_prefix(kind)?
            .split_once('=')?
            .1
            .strip_suffix(unit)?
            .parse::<f64>()
            .ok()?;
        Some((name.strip_suffix(['A', 'V'])?.to_owned(), value))
    };
    let volts: Vec<(String, f64)> = text
        .lines()
        .filter_map(|line| reading(line, "volt", 'V'))
        .collect();
    let amperes = text.lines().filter_map(|line| reading(line, "current", 'A'));
    let watts = amperes.filter_map(|(rail, amperes)| {
        volts
            .iter()
            .find(|(name, _)| *name == rail)
            .map(|(_, volts)| amperes * volts)
    });
    watts.fold(None, |sum, watts| Some(sum.unwrap_or(0.0) + watts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(root: &Path, name: &str, kind: &str, energy: &str) -> PathBuf {
        let folder = root.join("sys/class/powercap").join(name);
        fs::create_dir_all(&folder).expect("made");
        for (file, text) in [
            ("name", kind),
            ("energy_uj", energy),
            ("max_energy_range_uj", "1000000\n"),
        ] {
            fs::write(folder.join(file), text).expect("written");
        }
        folder.join("energy_uj")
    }

    #[test]
    fn rapl_counts_packages_and_survives_a_counter_that_starts_again() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let nowhere = Path::new("/no/vcgencmd");
        assert!(Meter::find(root.path(), nowhere).is_none());
        let counter = zone(root.path(), "intel-rapl:0", "package-0\n", "900000\n");
        zone(root.path(), "intel-rapl:0:0", "core\n", "5\n");
        zone(root.path(), "intel-rapl:1", "psys\n", "5\n");
        let meter = Meter::find(root.path(), nowhere).expect("a package");
        for (after, joules) in [("950000", 0.05), ("200000", 0.3)] {
            fs::write(&counter, "900000").expect("written");
            let (result, drawn) = meter.measure(|| fs::write(&counter, after).is_ok());
            assert!(
                result && (drawn.expect("readable") - joules).abs() < 1e-9,
                "{after}: {drawn:?}"
            );
        }
        let (_, drawn) = meter.measure(|| fs::remove_file(&counter));
        assert_eq!(drawn, None);
    }

    const RAILS: &str = "   3V3_SYS_A current(1)=0.05A\n VDD_CORE_A current(7)=2.0A\n   3V3_SYS_V volt(9)=3.30V\n VDD_CORE_V volt(15)=0.75V\n  EXT5V_V volt(24)=5.1V\n";

    #[test]
    fn a_pi_multiplies_currents_and_voltages() {
        let watts = sum_of_rails(RAILS).expect("two rails");
        assert!((watts - (0.05 * 3.3 + 2.0 * 0.75)).abs() < 1e-9, "{watts}");
        assert_eq!(sum_of_rails("error=1 error_msg=\"Command not registered\""), None);
    }

    #[test]
    fn a_pi_s_power_is_averaged_over_the_work() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("a temporary folder");
        let program = root.path().join("vcgencmd");
        fs::write(
            &program,
            format!("#!/bin/sh\nprintf '{}'\n", RAILS.replace('\n', "\\n")),
        )
        .expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
        let meter = Meter::find(root.path(), &program).expect("a Pi");
        let (seconds, joules) = meter.measure(|| {
            let start = Instant::now();
            thread::sleep(Duration::from_millis(50));
            start.elapsed().as_secs_f64()
        });
        let watts = joules.expect("read") / seconds;
        assert!((watts / 1.665 - 1.0).abs() < 0.05, "{watts} W");
    }
}
