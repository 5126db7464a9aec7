//! Finds out who else used the CPUs: other programs before a measurement, the host of a virtual machine
//! during it.

use std::time::Duration;

use crate::device::probe::Root;

/// How long to watch for other programs.
pub(super) const LOOK: Duration = Duration::from_millis(300);
/// CPUs that other programs may use without a note: what a system does when idle.
const BUSY_CPUS: f64 = 0.2;
/// The share of its time that a host may withhold without a note.
const WITHHELD: f64 = 0.01;

/// What the CPUs have done since the system started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticks {
    all: u64,
    idle: u64,
    /// Time in which the host ran something else.
    stolen: u64,
    cpus: u64,
}

impl Ticks {
    /// Reads the counters. Returns `None` if the system does not report them.
    pub(super) fn now(root: &Root) -> Option<Self> {
        Self::parse(&root.text("proc/stat")?)
    }

    /// The format is proc(5)'s: user nice system idle iowait irq softirq steal, for all CPUs and then for
    /// each.
    fn parse(stat: &str) -> Option<Self> {
        let mut lines = stat.lines();
        let all = lines.next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks: Vec<u64> = all.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self {
            all: ticks.iter().sum(),
            idle: ticks.get(3)? + ticks.get(4)?,
            stolen: *ticks.get(7)?,
            cpus: lines.take_while(|line| line.starts_with("cpu")).count() as u64,
        })
    }

    /// A note, if other programs were running between `before` and now.
    pub(super) fn busy_since(self, before: Self) -> Option<String> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)? as f64;
        let idle = self.idle.saturating_sub(before.idle) as f64;
        let busy = (1.0 - (idle / all).min(1.0)) * self.cpus as f64;
        (busy > BUSY_CPUS)
            .then(|| format!("other programs took {busy:.1} CPUs when this began: speeds are too low"))
    }

    /// A note, if the host of this virtual machine withheld time between `before` and now.
    pub(super) fn withheld_since(self, before: Self) -> Option<String> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)? as f64;
        let share = self.stolen.saturating_sub(before.stolen) as f64 / all;
        (share > WITHHELD).then(|| {
            let percent = share * 100.0;
            format!("the host of this virtual machine withheld {percent:.0} % of the CPUs' time (steal): speeds are too low")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(user: u64, idle: u64, steal: u64) -> Ticks {
        let text = format!("cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n");
        Ticks::parse(&text).expect("ticks")
    }

    #[test]
    fn other_programs_and_the_host_are_noticed() {
        let before = ticks(1000, 5000, 10);
        let quiet = ticks(1002, 5058, 10);
        assert_eq!(
            (quiet.busy_since(before), quiet.withheld_since(before)),
            (None, None)
        );
        let busy = ticks(1030, 5030, 10).busy_since(before).expect("a word");
        assert!(busy.contains("took 1.0 CPUs"), "{busy}");
        let withheld = ticks(1050, 5000, 20).withheld_since(before).expect("a word");
        assert!(withheld.contains("17 %"), "{withheld}");
        // A counter that does not move or runs backwards gives no note.
        assert_eq!(before.busy_since(before), None);
        assert_eq!(before.withheld_since(quiet), None);
    }

    #[test]
    fn what_is_no_stat_tells_nothing() {
        for text in ["", "cpu", "cpu 1 2 3", "cpu a b c d e f g h", "intr 1"] {
            assert_eq!(Ticks::parse(text), None, "{text}");
        }
    }
}
