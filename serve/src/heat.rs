//! Slowing down before the machine's firmware does. Pure, except [`Sensor::read`].
//!
//! Firmware that is too hot halves the clock, for everybody and without telling. The service rests between steps
//! instead: a few degrees below the limit it begins, and at the limit it computes a quarter of the time.

use std::fmt;
use std::time::Duration;

use siskin_device::probe::{Heat, Root};

/// The distance below the limit at which resting begins, in degrees.
const BAND: f64 = 6.0;

/// How much cooler it must get before the service rests less, in degrees: otherwise it swings around one temperature.
const HYSTERESIS: f64 = 2.0;

/// The smallest part of the time that is computed.
const LEAST: f64 = 0.25;

/// The longest rest at a time, so that nobody takes the service for dead.
const LONGEST: Duration = Duration::from_secs(2);

/// The temperature at which a Raspberry Pi's firmware begins to lower the clock, in degrees Celsius. Source: Raspberry
/// Pi documentation, "Frequency management and thermal control".
const PI_LIMIT: f64 = 80.0;

/// Limits outside of this are no limits but placeholders, in degrees Celsius.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 45.0..=115.0;

const ZONES: &str = "sys/class/thermal";

/// A temperature, and the limit at which the system slows down by itself. In degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The temperature.
    pub celsius: f64,
    /// The limit.
    pub limit: f64,
}

impl Sample {
    fn margin(self) -> f64 {
        self.limit - self.celsius
    }
}

/// Reads the machine's sensors.
#[derive(Debug)]
pub struct Sensor {
    root: Root,
    /// Each zone's folder, and its limit.
    zones: Vec<(String, f64)>,
}

impl Sensor {
    /// Finds the sensors with a limit: zones that the kernel cools passively (`trip_point_*_type`, the kernel's
    /// "Generic Thermal Sysfs driver"), and a Raspberry Pi's processor. `None` if there are none: then nothing is known
    /// about a limit, and the service does not rest.
    pub fn find(root: Root) -> Option<Self> {
        let is_pi = Heat::probe(&root).throttle.is_some();
        let mut zones = Vec::new();
        for name in root.names(ZONES, "thermal_zone") {
            let folder = format!("{ZONES}/{name}");
            let kind = root.text(&format!("{folder}/type")).unwrap_or_default();
            let pi = (is_pi && kind.starts_with("cpu")).then_some(PI_LIMIT);
            let limits = passive(&root, &folder).into_iter().chain(pi);
            if let Some(limit) = limits.min_by(f64::total_cmp) {
                zones.push((folder, limit));
            }
        }
        (!zones.is_empty()).then_some(Sensor { root, zones })
    }

    /// The sensor that is nearest to its limit; `None` if none can be read now.
    pub fn read(&self) -> Option<Sample> {
        let zones = self.zones.iter();
        let samples = zones.filter_map(|(folder, limit)| {
            let celsius = celsius(&self.root, &format!("{folder}/temp"))?;
            Some(Sample {
                celsius,
                limit: *limit,
            })
        });
        samples.min_by(|a, b| a.margin().total_cmp(&b.margin()))
    }
}

/// The temperatures from which the kernel lowers the clock.
fn passive(root: &Root, folder: &str) -> Vec<f64> {
    let names = root.names(folder, "trip_point_");
    let points = names.iter().filter_map(|name| name.strip_suffix("_type"));
    let passive =
        points.filter(|point| root.text(&format!("{folder}/{point}_type")).as_deref() == Some("passive"));
    passive
        .filter_map(|point| celsius(root, &format!("{folder}/{point}_temp")))
        .filter(|limit| PLAUSIBLE.contains(limit))
        .collect()
}

fn celsius(root: &Root, entry: &str) -> Option<f64> {
    let millis: f64 = root.text(entry)?.parse().ok()?;
    millis.is_finite().then_some(millis / 1000.0)
}

/// Decides how much of the time is computed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Governor {
    last: Option<Sample>,
    /// The temperature that counts: it follows the measured one up at once, and down with a distance.
    held: f64,
}

impl Governor {
    /// A governor that has seen nothing: the service computes all the time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a new sample; `None` if there is none: then nothing is held back.
    pub fn observe(&mut self, sample: Option<Sample>) {
        let sample = sample.filter(|sample| sample.celsius.is_finite() && sample.limit.is_finite());
        self.held = match sample {
            Some(now) if self.last.is_some() => self.held.clamp(now.celsius, now.celsius + HYSTERESIS),
            Some(now) => now.celsius,
            None => 0.0,
        };
        self.last = sample;
    }

    /// The part of the time that is computed, from 0.25 to 1.
    pub fn duty(&self) -> f64 {
        let Some(sample) = self.last else { return 1.0 };
        let over = (self.held - (sample.limit - BAND)) / BAND;
        (1.0 - (1.0 - LEAST) * over).clamp(LEAST, 1.0)
    }

    /// How long to rest after a step that took this long.
    pub fn rest(&self, step: Duration) -> Duration {
        let duty = self.duty();
        step.mul_f64((1.0 - duty) / duty).min(LONGEST)
    }

    /// Why the service is slow; `None` if heat is not the reason.
    pub fn reason(&self) -> Option<Reason> {
        let sample = self.last?;
        let duty = self.duty();
        (duty < 1.0).then_some(Reason { sample, duty })
    }

    /// The last sample.
    pub fn sample(&self) -> Option<Sample> {
        self.last
    }
}

/// Heat as a reason for being slow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// The temperature and the limit.
    pub sample: Sample,
    /// The part of the time that is computed.
    pub duty: f64,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} °C, near the limit of {:.0} °C: computes {:.0} % of the time",
            self.sample.celsius,
            self.sample.limit,
            self.duty * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Option<Sensor>) {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let sensor = Sensor::find(Root::at(folder.path()));
        (folder, sensor)
    }

    const ZONE: &str = "sys/class/thermal/thermal_zone0";

    fn zone(files: &[(&str, &str)]) -> (tempfile::TempDir, Option<Sensor>) {
        let files: Vec<(String, &str)> = files
            .iter()
            .map(|(name, text)| (format!("{ZONE}/{name}"), *text))
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        machine(&files)
    }

    fn at(celsius: f64) -> Option<Sample> {
        Some(Sample { celsius, limit: 80.0 })
    }

    fn duties(temperatures: &[f64]) -> Vec<f64> {
        let mut governor = Governor::new();
        let duty = |celsius: &f64| {
            governor.observe(at(*celsius));
            (governor.duty() * 1000.0).round() / 1000.0
        };
        temperatures.iter().map(duty).collect()
    }

    #[test]
    fn it_rests_before_the_limit_and_goes_on_when_it_is_cooler() {
        assert_eq!(
            duties(&[20.0, 74.0, 77.0, 80.0, 95.0]),
            [1.0, 1.0, 0.625, 0.25, 0.25]
        );
        // Two degrees cooler change nothing; more do.
        assert_eq!(
            duties(&[77.0, 76.0, 75.0, 74.0, 72.0]),
            [0.625, 0.625, 0.625, 0.75, 1.0]
        );
        // Around one temperature it does not swing.
        assert_eq!(duties(&[77.0, 76.0, 77.0, 75.5, 77.0]), [0.625; 5]);
        assert_eq!(duties(&[90.0, 20.0]), [0.25, 1.0]);
    }

    #[test]
    fn without_a_sample_nothing_is_held_back() {
        let mut governor = Governor::new();
        assert_eq!((governor.duty(), governor.reason()), (1.0, None));
        governor.observe(at(80.0));
        assert_eq!(
            governor.rest(Duration::from_millis(100)),
            Duration::from_millis(300)
        );
        assert_eq!(governor.rest(Duration::from_secs(60)), LONGEST);
        let reason = governor.reason().expect("hot").to_string();
        assert_eq!(
            reason,
            "80.0 °C, near the limit of 80 °C: computes 25 % of the time"
        );
        governor.observe(None);
        assert_eq!(governor.rest(Duration::from_secs(1)), Duration::ZERO);
        governor.observe(at(20.0));
        assert_eq!((governor.duty(), governor.reason()), (1.0, None));
    }

    #[test]
    fn strange_temperatures_do_not_stop_the_service() {
        for celsius in [-273.0, 1e300, f64::MAX, -1e300, f64::NAN, f64::INFINITY] {
            let mut governor = Governor::new();
            governor.observe(at(celsius));
            governor.observe(at(50.0));
            assert!((LEAST..=1.0).contains(&governor.duty()), "{celsius}");
        }
    }

    #[test]
    fn limits_come_from_the_kernel_and_from_the_pi() {
        let passive = zone(&[
            ("type", "soc-thermal\n"),
            ("temp", "61700\n"),
            ("trip_point_0_type", "passive\n"),
            ("trip_point_0_temp", "85000\n"),
            ("trip_point_1_type", "passive\n"),
            ("trip_point_1_temp", "75000\n"),
            ("trip_point_2_type", "critical\n"),
            ("trip_point_2_temp", "50000\n"),
        ]);
        let pi = machine(&[
            (&format!("{ZONE}/type"), "cpu-thermal\n"),
            (&format!("{ZONE}/temp"), "70000\n"),
            (&format!("{ZONE}/trip_point_0_type"), "critical\n"),
            (&format!("{ZONE}/trip_point_0_temp"), "110000\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
        ]);
        let pi_limit = Sample {
            celsius: 70.0,
            limit: 80.0,
        };
        let kernel_limit = Sample {
            celsius: 61.7,
            limit: 75.0,
        };
        for (machine, want) in [(passive, kernel_limit), (pi, pi_limit)] {
            let sensor = machine.1.expect("a limit");
            assert_eq!(sensor.read(), Some(want));
        }
        let placeholder = zone(&[
            ("type", "acpitz"),
            ("temp", "20000"),
            ("trip_point_0_type", "passive"),
            ("trip_point_0_temp", "0"),
        ]);
        assert!(placeholder.1.is_none());
        assert!(machine(&[]).1.is_none());
    }

    #[test]
    fn the_zone_nearest_to_its_limit_counts() {
        const OTHER: &str = "sys/class/thermal/thermal_zone1";
        let (folder, sensor) = machine(&[
            (&format!("{ZONE}/temp"), "70000"),
            (&format!("{ZONE}/trip_point_0_type"), "passive"),
            (&format!("{ZONE}/trip_point_0_temp"), "95000"),
            (&format!("{OTHER}/temp"), "60000"),
            (&format!("{OTHER}/trip_point_0_type"), "passive"),
            (&format!("{OTHER}/trip_point_0_temp"), "65000"),
        ]);
        let sensor = sensor.expect("limits");
        assert_eq!(
            sensor.read(),
            Some(Sample {
                celsius: 60.0,
                limit: 65.0
            })
        );
        std::fs::write(folder.path().join(OTHER).join("temp"), "nonsense").expect("written");
        assert_eq!(
            sensor.read(),
            Some(Sample {
                celsius: 70.0,
                limit: 95.0
            })
        );
    }
}
