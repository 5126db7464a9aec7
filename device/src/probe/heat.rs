//! Temperatures, and whether the machine slowed down because of them.

use serde::Serialize;

use super::Root;

/// What the machine reports about heat and power.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Heat {
    /// All thermal zones, in order of number.
    pub zones: Vec<Zone>,
    /// The throttling flags of a Raspberry Pi's firmware; `None` on other machines.
    pub throttle: Option<Throttle>,
    /// How often Intel cores have throttled since boot; `None` if the kernel does not count it.
    pub throttle_events: Option<u64>,
}

/// A thermal zone: one sensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Zone {
    /// The kind of sensor, e.g. `cpu-thermal`.
    pub kind: String,
    /// Its temperature in degrees Celsius.
    pub celsius: f64,
}

/// The result of `vcgencmd get_throttled`: conditions that hold now, and conditions that held since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Throttle {
    /// The bits as the firmware reports them.
    pub bits: u32,
}

/// A bit that means "now", and its condition. Source: Raspberry Pi documentation, `vcgencmd get_throttled`.
const BITS: [(u32, &str); 4] = [
    (0, "under-voltage"),
    (1, "frequency capped"),
    (2, "throttled"),
    (3, "soft temperature limit"),
];

/// The distance from a bit that means "now" to the bit that means "since boot".
const SINCE_START: u32 = 16;

impl Throttle {
    /// The conditions that hold now.
    pub fn now(self) -> Vec<&'static str> {
        self.named(0)
    }

    /// The conditions that have held at some time since boot.
    pub fn since_start(self) -> Vec<&'static str> {
        self.named(SINCE_START)
    }

    fn named(self, shift: u32) -> Vec<&'static str> {
        let set = BITS.iter().filter(|(bit, _)| self.bits >> (bit + shift) & 1 == 1);
        set.map(|(_, name)| *name).collect()
    }
}

impl Heat {
    /// Reads the sensors and the throttling state.
    pub fn probe(root: &Root) -> Self {
        let zones = root
            .names("sys/class/thermal", "thermal_zone")
            .into_iter()
            .filter_map(|name| {
                let entry = |file: &str| root.text(&format!("sys/class/thermal/{name}/{file}"));
                let millis: f64 = entry("temp")?.parse().ok()?;
                Some(Zone {
                    kind: entry("type").unwrap_or(name),
                    celsius: millis / 1000.0,
                })
            });
        Heat {
            zones: zones.collect(),
            throttle: firmware(root),
            throttle_events: events(root),
        }
    }

    /// The zone with the highest temperature.
    pub fn hottest(&self) -> Option<&Zone> {
        self.zones.iter().max_by(|a, b| a.celsius.total_cmp(&b.celsius))
    }

    /// Whether the machine throttles now or has throttled since `before`, as far as it reports that.
    pub fn throttled_since(&self, before: &Heat) -> bool {
        let now = self.throttle.is_some_and(|throttle| !throttle.now().is_empty());
        let counted = self
            .throttle_events
            .zip(before.throttle_events)
            .is_some_and(|(now, then)| now > then);
        now || counted
    }

    /// Whether this machine has no way to report that it slowed down.
    pub fn cannot_tell(&self) -> bool {
        self.throttle.is_none() && self.throttle_events.is_none()
    }
}

/// The Pi firmware's flags from its driver: `/sys/devices/platform/soc*/soc*:firmware/get_throttled`, in
/// hexadecimal.
fn firmware(root: &Root) -> Option<Throttle> {
    const PLATFORM: &str = "sys/devices/platform";
    let socs = root.names(PLATFORM, "soc");
    let folders = socs.iter().flat_map(|soc| {
        let inner = root.names(&format!("{PLATFORM}/{soc}"), "soc");
        inner
            .into_iter()
            .map(move |inner| format!("{PLATFORM}/{soc}/{inner}"))
    });
    folders
        .filter(|folder| folder.ends_with(":firmware"))
        .find_map(|folder| {
            let text = root.text(&format!("{folder}/get_throttled"))?;
            let bits = u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()?;
            Some(Throttle { bits })
        })
}

fn events(root: &Root) -> Option<u64> {
    const CPUS: &str = "sys/devices/system/cpu";
    let counts = root.names(CPUS, "cpu").into_iter();
    let counts =
        counts.filter_map(|cpu| root.number(&format!("{CPUS}/{cpu}/thermal_throttle/core_throttle_count")));
    counts.fold(None, |sum, count| Some(sum.unwrap_or(0) + count))
}
