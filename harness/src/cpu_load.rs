//! Finds out who else used the CPUs: other programs before and during a measurement, the host of a virtual machine
//! during it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use siskin_device::probe::Root;
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// How long to watch for other programs.
const LOOK: Duration = Duration::from_millis(300);
/// CPUs that other programs may use without a note: what a system does when idle.
const BUSY_CPUS: f64 = 0.2;
/// The share of its time that a host may withhold without a note.
const WITHHELD: f64 = 0.01;
/// Programs that are named, and the least that one of them takes.
const NAMED: usize = 3;
const NAMED_CPUS: f64 = 0.05;

/// CPUs that other programs used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CpuLoad {
    /// How many, on average.
    pub cpus: f64,
    /// The programs that used most, as far as they are known: name, CPUs.
    pub programs: Vec<(String, f64)>,
}

impl fmt::Display for CpuLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "other programs used {:.1} CPUs", self.cpus)?;
        let named = self
            .programs
            .iter()
            .map(|(name, cpus)| format!("{name} {cpus:.1}"));
        let named: Vec<String> = named.collect();
        if named.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", named.join(", "))
    }
}

impl CpuLoad {
    /// A note for results.
    pub(crate) fn at_start(&self) -> String {
        format!("{self} when this began; the speeds are too low")
    }
}

/// Who used the CPUs during a measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Used {
    /// Other programs, if they used more than an idle system does.
    pub(crate) others: Option<CpuLoad>,
    /// The share of time that the host of a virtual machine withheld, if it is worth a note.
    pub(crate) withheld: Option<f64>,
}

impl Used {
    /// Notes for results.
    pub(crate) fn notes(&self) -> Vec<String> {
        let others = self.others.as_ref();
        let others = others.map(|load| format!("{load} while this was measured; the speeds are too low"));
        let withheld = self.withheld.map(|share| {
            let percent = share * 100.0;
            format!("the host of this virtual machine withheld {percent:.0} % of the CPUs' time (steal); the speeds are too low")
        });
        others.into_iter().chain(withheld).collect()
    }
}

/// Watches the CPUs from the beginning of a measurement to its end.
#[derive(Debug)]
pub(crate) struct Watch {
    start: Option<Ticks>,
}

impl Watch {
    /// Looks at what other programs do for a moment, then begins to watch. Call it while this program is idle.
    pub(crate) fn begin() -> (Self, Option<CpuLoad>) {
        let root = Root::system();
        let mut programs = Programs::new();
        let before = Ticks::now(&root);
        std::thread::sleep(LOOK);
        let start = Ticks::now(&root);
        let busy = before.zip(start);
        let busy = busy.and_then(|(before, start)| start.busy_since(before));
        let load = busy.map(|cpus| CpuLoad {
            cpus,
            programs: programs.busiest(),
        });
        (Watch { start }, load)
    }

    /// Begins to watch at once.
    pub(crate) fn now() -> Self {
        Watch {
            start: Ticks::now(&Root::system()),
        }
    }

    /// Call it after every worker has ended: only then does the system count their time as this process's.
    pub(crate) fn end(&self) -> Used {
        let span = self.start.zip(Ticks::now(&Root::system()));
        let others = span.and_then(|(start, end)| end.busy_since(start));
        Used {
            others: others.map(|cpus| CpuLoad {
                cpus,
                programs: vec![],
            }),
            withheld: span.and_then(|(start, end)| end.withheld_since(start)),
        }
    }
}

/// What the CPUs have done since the system started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    all: u64,
    idle: u64,
    /// Time in which the host ran something else.
    stolen: u64,
    /// Time of this process and of its children that have ended.
    own: u64,
    cpus: u64,
}

impl Ticks {
    /// Reads the counters. Returns `None` if the system does not report them.
    fn now(root: &Root) -> Option<Self> {
        let own = root.text("proc/self/stat");
        Self::parse(&root.text("proc/stat")?, own.as_deref().unwrap_or_default())
    }

    /// The formats are proc(5)'s. `stat`: user nice system idle iowait irq softirq steal, for all CPUs and then for
    /// each. `own`: a name in parentheses, and after it utime stime cutime cstime from the twelfth number on.
    fn parse(stat: &str, own: &str) -> Option<Self> {
        let mut lines = stat.lines();
        let all = lines.next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks: Vec<u64> = all.map(str::parse).collect::<Result<_, _>>().ok()?;
        let own = own.rsplit_once(')').map_or("", |(_, rest)| rest);
        let own = own.split_whitespace().skip(11).take(4);
        Some(Self {
            all: ticks.iter().fold(0, |sum, ticks| sum.saturating_add(*ticks)),
            idle: ticks.get(3)?.saturating_add(*ticks.get(4)?),
            stolen: *ticks.get(7)?,
            own: own.filter_map(|ticks| ticks.parse::<u64>().ok()).sum(),
            cpus: lines.take_while(|line| line.starts_with("cpu")).count() as u64,
        })
    }

    /// CPUs that other programs used between `before` and now, if that is more than an idle system does.
    fn busy_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)? as f64;
        let since = |now: u64, before: u64| now.saturating_sub(before) as f64;
        let known =
            since(self.idle, before.idle) + since(self.own, before.own) + since(self.stolen, before.stolen);
        let busy = (1.0 - (known / all).min(1.0)) * self.cpus as f64;
        (busy > BUSY_CPUS).then_some(busy)
    }

    /// The share of time that the host of this virtual machine withheld between `before` and now, if it is worth a
    /// note.
    fn withheld_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|&all| all > 0)? as f64;
        let share = self.stolen.saturating_sub(before.stolen) as f64 / all;
        (share > WITHHELD).then_some(share)
    }
}

/// The programs of the system, and what they use.
struct Programs(System);

impl Programs {
    fn new() -> Self {
        let mut programs = Programs(System::new());
        programs.refresh();
        programs
    }

    fn refresh(&mut self) {
        let cpu = ProcessRefreshKind::nothing().with_cpu();
        self.0
            .refresh_processes_specifics(ProcessesToUpdate::All, true, cpu);
    }

    /// Those that used most since the last refresh.
    fn busiest(&mut self) -> Vec<(String, f64)> {
        let mut busiest = self.used();
        busiest.retain(|(_, cpus)| *cpus >= NAMED_CPUS);
        busiest.truncate(NAMED);
        busiest
    }

    /// CPUs that each program used since the last refresh, the most first; processes of one name count together.
    fn used(&mut self) -> Vec<(String, f64)> {
        self.refresh();
        let mut by_name: BTreeMap<String, f64> = BTreeMap::new();
        let own = sysinfo::get_current_pid().ok();
        let others = self.0.processes().values();
        for process in others.filter(|process| Some(process.pid()) != own && process.thread_kind().is_none())
        {
            // A program may call itself anything, and its name goes to terminals.
            let name = process.name().to_string_lossy().replace(char::is_control, "?");
            *by_name.entry(name).or_default() += f64::from(process.cpu_usage()) / 100.0;
        }
        let mut used: Vec<(String, f64)> = by_name.into_iter().collect();
        used.sort_by(|a, b| b.1.total_cmp(&a.1));
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(user: u64, idle: u64, steal: u64, own: u64) -> Ticks {
        let text = format!("cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n");
        let own = format!("7 (a b) c) S 1 7 7 0 -1 0 0 0 0 0 {own} 0 0 0 20 0");
        Ticks::parse(&text, &own).expect("ticks")
    }

    #[test]
    fn other_programs_and_the_host_are_noticed() {
        let before = ticks(1000, 5000, 10, 0);
        let quiet = ticks(1002, 5058, 10, 0);
        assert_eq!(
            (quiet.busy_since(before), quiet.withheld_since(before)),
            (None, None)
        );
        assert_eq!(ticks(1030, 5030, 10, 0).busy_since(before), Some(1.0));
        // This process's own time is not others'.
        assert_eq!(ticks(1030, 5030, 10, 30).busy_since(before), None);
        let withheld = ticks(1050, 5000, 20, 50);
        assert_eq!(withheld.busy_since(before), None);
        let share = withheld.withheld_since(before).expect("withheld");
        assert!((share - 1.0 / 6.0).abs() < 1e-9, "{share}");
        // A counter that does not move or runs backwards gives nothing.
        assert_eq!(before.busy_since(before), None);
        assert_eq!(before.withheld_since(quiet), None);
    }

    #[test]
    fn text_that_is_not_stat_gives_nothing() {
        for text in ["", "cpu", "cpu 1 2 3", "cpu a b c d e f g h", "intr 1"] {
            assert_eq!(Ticks::parse(text, ""), None, "{text}");
        }
    }

    #[test]
    fn notes_name_the_programs() {
        let mut load = CpuLoad {
            cpus: 2.0,
            programs: vec![("rustc".into(), 1.4), ("chrome".into(), 0.6)],
        };
        assert_eq!(
            load.at_start(),
            "other programs used 2.0 CPUs (rustc 1.4, chrome 0.6) when this began; the speeds are too low"
        );
        load.programs.clear();
        let used = Used {
            others: Some(load),
            withheld: Some(0.17),
        };
        let notes = used.notes();
        assert!(
            notes[0].starts_with("other programs used 2.0 CPUs while"),
            "{notes:?}"
        );
        assert!(notes[1].contains("withheld 17 %"), "{notes:?}");
    }

    #[test]
    fn a_program_that_spins_is_named() {
        let mut programs = Programs::new();
        let mut spinning = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("a shell");
        // A process must be seen once before its time can be compared.
        std::thread::sleep(Duration::from_millis(50));
        programs.refresh();
        let is_seen = |used: &[(String, f64)]| used.iter().any(|(name, cpus)| name == "sh" && *cpus > 0.0);
        // On a busy machine it may get its first time late.
        let mut used = vec![];
        for _ in 0..100 {
            std::thread::sleep(LOOK);
            used = programs.used();
            if is_seen(&used) {
                break;
            }
        }
        spinning.kill().expect("it runs");
        spinning.wait().expect("it ended");
        assert!(is_seen(&used), "{used:?}");
    }
}
