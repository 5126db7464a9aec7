//! The control groups of this process, and the limits of those groups and their parents: cgroups(7), versions
//! 2 and 1.

use super::Root;

/// The folders of this process's groups, innermost first: `sys/fs/cgroup/a/b`, `sys/fs/cgroup/a`,
/// `sys/fs/cgroup`.
#[derive(Debug, Default)]
pub(super) struct Groups {
    v2: Vec<String>,
    v1_cpu: Vec<String>,
    v1_memory: Vec<String>,
}

/// A group's memory limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoryLimit {
    pub group: String,
    pub bytes: u64,
    /// Bytes that can still be allocated: the limit minus what is used, not counting caches that can be
    /// dropped.
    pub room: u64,
}

/// Names of the files that hold a version's memory limit and usage, and the line of `memory.stat` that counts
/// the file cache that can be dropped.
struct MemoryFiles {
    limit: &'static str,
    usage: &'static str,
    reclaimable: &'static str,
}

const V2: MemoryFiles = MemoryFiles {
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: "inactive_file",
};
const V1: MemoryFiles = MemoryFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

/// Version 1 writes "no limit" as the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;

impl Groups {
    pub(super) fn current(root: &Root) -> Self {
        let (Some(own), Some(mounts)) = (root.text("proc/self/cgroup"), root.text("proc/self/mountinfo"))
        else {
            return Groups::default();
        };
        let folders = |is_own: &dyn Fn(&str, &str) -> bool, is_mount: &dyn Fn(&Mount) -> bool| {
            let path = own.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':');
                let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
                is_own(id, controllers).then_some(path)
            });
            let mount = mounts
                .lines()
                .filter_map(Mount::parse)
                .find(|mount| is_mount(mount));
            path.zip(mount)
                .map(|(path, mount)| mount.folders(path))
                .unwrap_or_default()
        };
        let v1 = |controller: &str| {
            let named = |list: &str| list.split(',').any(|name| name == controller);
            folders(&|_, controllers| named(controllers), &|mount| {
                mount.kind == "cgroup" && named(mount.options)
            })
        };
        Groups {
            v2: folders(&|id, controllers| id == "0" && controllers.is_empty(), &|mount| {
                mount.kind == "cgroup2"
            }),
            v1_cpu: v1("cpu"),
            v1_memory: v1("memory"),
        }
    }

    /// The smallest quota of CPU time, in CPUs.
    pub(super) fn cpu_quota(&self, root: &Root) -> Option<f64> {
        let share = |quota: u64, period: u64| (period > 0).then(|| quota as f64 / period as f64);
        let v2 = self.v2.iter().filter_map(|folder| {
            let text = root.text(&format!("{folder}/cpu.max"))?;
            let (quota, period) = text.split_once(' ')?;
            share(quota.parse().ok()?, period.parse().ok()?)
        });
        let v1 = self.v1_cpu.iter().filter_map(|folder| {
            // "No quota" is -1, which does not parse as a number here.
            let quota = root.number(&format!("{folder}/cpu.cfs_quota_us"))?;
            share(quota, root.number(&format!("{folder}/cpu.cfs_period_us"))?)
        });
        v2.chain(v1).min_by(f64::total_cmp)
    }

    /// Every memory limit, the innermost group's first.
    pub(super) fn memory_limits(&self, root: &Root) -> Vec<MemoryLimit> {
        let limits = |folders: &[String], files: &MemoryFiles| -> Vec<MemoryLimit> {
            folders
                .iter()
                .filter_map(|folder| memory_limit(root, folder, files))
                .collect()
        };
        [limits(&self.v2, &V2), limits(&self.v1_memory, &V1)].concat()
    }
}

fn memory_limit(root: &Root, folder: &str, files: &MemoryFiles) -> Option<MemoryLimit> {
    let bytes = root
        .number(&format!("{folder}/{}", files.limit))
        .filter(|bytes| *bytes < NO_LIMIT)?;
    let usage = root.number(&format!("{folder}/{}", files.usage)).unwrap_or(0);
    let stat = root.text(&format!("{folder}/memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == files.reclaimable).then(|| value.trim().parse::<u64>().ok())?
    });
    let used = usage.saturating_sub(reclaimable.unwrap_or(0));
    Some(MemoryLimit {
        group: format!("/{folder}"),
        bytes,
        room: bytes.saturating_sub(used),
    })
}

/// A line of `mountinfo`: which part of the file system is mounted, where, its type and options.
struct Mount<'t> {
    root: &'t str,
    point: &'t str,
    kind: &'t str,
    options: &'t str,
}

impl<'t> Mount<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(Mount {
            root: before.next()?,
            point: before.next()?,
            kind: after.next()?,
            options: after.nth(1)?,
        })
    }

    /// The folders of the group `path` and of its parents. In a container the mount shows only a part of the
    /// tree; a path outside that part maps to the mount's root.
    fn folders(&self, path: &str) -> Vec<String> {
        let below = if self.root == "/" {
            Some(path)
        } else {
            path.strip_prefix(self.root)
        };
        let below = below.filter(|below| !below.contains("/..")).unwrap_or("");
        let mut folder = format!("{}{}", self.point.trim_matches('/'), below.trim_end_matches('/'));
        let mut folders = vec![folder.clone()];
        while folder.len() > self.point.trim_matches('/').len() {
            folder.truncate(folder.rfind('/').unwrap_or(0));
            folders.push(folder.clone());
        }
        folders
    }
}
