//! What Linux's control groups leave a process of memory: containers, batch systems and services are held by them.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A group that limits memory, its process's own or one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The most bytes that its processes may take together.
    pub(super) limit: u64,
    /// Bytes that they may still take: what only keeps files at hand is given up for them.
    pub(super) free: u64,
}

/// The two versions of control groups, by what their files are called.
struct Version {
    limit: &'static str,
    /// A lower limit, above which processes are held up until memory is given back: as bad as an end.
    soft: Option<&'static str>,
    taken: &'static str,
    /// Lines of `memory.stat` with the bytes of files that are dropped where memory is asked for.
    files: [&'static str; 2],
}

const FIRST: Version = Version {
    limit: "memory.limit_in_bytes",
    soft: None,
    taken: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
};
const SECOND: Version = Version {
    limit: "memory.max",
    soft: Some("memory.high"),
    taken: "memory.current",
    files: ["inactive_file", "active_file"],
};

/// All groups of this process that limit memory, under `root`, which is `/` but in tests.
pub(super) fn rooms(root: &Path) -> Vec<Room> {
    let read = |name| fs::read_to_string(root.join(name)).unwrap_or_default();
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let found = mounts.lines().filter_map(|line| {
        let (version, mount) = Mount::of(line)?;
        let group = groups.lines().find_map(|line| version.group(line))?;
        Some((version, mount.folders(root, group)))
    });
    found
        .flat_map(|(version, folders)| {
            folders.into_iter().filter_map(move |folder| version.room(&folder))
        })
        .collect()
}

impl Version {
    /// The process's group, where a line of `/proc/self/cgroup` is of this version: `0::/path`, or
    /// `4:memory:/path` among the controllers of the first.
    fn group<'a>(&self, line: &'a str) -> Option<&'a str> {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let is_it = match self.limit == SECOND.limit {
            true => number == "0" && controllers.is_empty(),
            false => controllers.split(',').any(|controller| controller == "memory"),
        };
        is_it.then_some(path)
    }

    /// `None` where this group has no limit.
    fn room(&self, folder: &Path) -> Option<Room> {
        let read = |name| fs::read_to_string(folder.join(name)).ok();
        let number = |name| read(name)?.trim().parse::<u64>().ok();
        let limits = [Some(self.limit), self.soft].into_iter().flatten();
        let (limit, taken) = (limits.filter_map(number).min()?, number(self.taken)?);
        let statistics = read("memory.stat").unwrap_or_default();
        let lines = statistics.lines().filter_map(|line| line.split_once(' '));
        let files = lines.filter(|(name, _)| self.files.contains(name));
        let files: u64 = files.filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok()).sum();
        let free = limit.saturating_sub(taken.saturating_sub(files));
        Some(Room { limit, free })
    }
}

/// Where the groups of a version are seen as folders.
struct Mount {
    /// The group that stands at the top: `/`, or a container's own.
    top: String,
    at: String,
}

impl Mount {
    /// `36 25 0:32 TOP AT OPTIONS … - cgroup2 SOURCE OPTIONS`, a line of `/proc/self/mountinfo`.
    fn of(line: &str) -> Option<(&'static Version, Self)> {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let version = match (kind.next()?, kind.nth(1)) {
            ("cgroup2", _) => &SECOND,
            ("cgroup", Some(options)) if options.split(',').any(|o| o == "memory") => &FIRST,
            _ => return None,
        };
        let mut place = place.split(' ').skip(3);
        let (top, at) = (place.next()?.to_owned(), place.next()?.replace("\\040", " "));
        Some((version, Self { top, at }))
    }

    /// The group's folder and those of all above it that are seen. A container sees its own group at the top,
    /// whatever that is called outside.
    fn folders(&self, root: &Path, group: &str) -> Vec<PathBuf> {
        let top = root.join(self.at.trim_start_matches('/'));
        let own = Path::new(group).strip_prefix(&self.top).unwrap_or(Path::new(""));
        // A path out of what is seen, as where a process was moved (`/../other`), names no folder below the top.
        let is_seen = own.components().all(|part| matches!(part, Component::Normal(_)));
        let own = if is_seen { own } else { Path::new("") };
        own.ancestors().map(|group| top.join(group)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A system of these files.
    fn system(files: &[(&str, String)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn bytes(mib: u64) -> String {
        format!("{}\n", mib * MIB)
    }

    fn statistics(prefix: &str, inactive: u64, active: u64) -> String {
        format!(
            "anon 1\nfile 99999999999\n{prefix}inactive_file {}\n{prefix}active_file {}\nslab 5\n",
            inactive * MIB,
            active * MIB
        )
    }

    const V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn files_that_are_kept_at_hand_are_free() {
        let root = system(&[
            ("proc/self/cgroup", "0::/\n".to_owned()),
            ("proc/self/mountinfo", V2.to_owned()),
            ("sys/fs/cgroup/memory.max", bytes(4096)),
            ("sys/fs/cgroup/memory.current", bytes(4000)),
            ("sys/fs/cgroup/memory.stat", statistics("", 3000, 857)),
        ]);
        let rooms = rooms(root.path());
        assert_eq!(rooms, [Room { limit: 4096 * MIB, free: 3953 * MIB }]);
    }

    #[test]
    fn a_group_above_may_leave_less_than_the_own() {
        let root = system(&[
            ("proc/self/cgroup", "0::/slurm/job_1/step_0\n".to_owned()),
            ("proc/self/mountinfo", V2.to_owned()),
            ("sys/fs/cgroup/slurm/job_1/memory.max", bytes(1000)),
            ("sys/fs/cgroup/slurm/job_1/memory.current", bytes(900)),
            ("sys/fs/cgroup/slurm/job_1/memory.stat", statistics("", 100, 0)),
            ("sys/fs/cgroup/slurm/job_1/step_0/memory.max", "max\n".to_owned()),
            ("sys/fs/cgroup/slurm/job_1/step_0/memory.current", bytes(10)),
            ("sys/fs/cgroup/slurm/memory.max", bytes(8000)),
            ("sys/fs/cgroup/slurm/memory.current", bytes(1)),
        ]);
        let mut free: Vec<u64> = rooms(root.path()).iter().map(|room| room.free / MIB).collect();
        free.sort_unstable();
        assert_eq!(free, [200, 7999]);
    }

    #[test]
    fn a_limit_that_only_slows_processes_down_counts() {
        let root = system(&[
            ("proc/self/cgroup", "0::/user.slice\n".to_owned()),
            ("proc/self/mountinfo", V2.to_owned()),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n".to_owned()),
            ("sys/fs/cgroup/user.slice/memory.high", bytes(700)),
            ("sys/fs/cgroup/user.slice/memory.current", bytes(200)),
        ]);
        assert_eq!(rooms(root.path()), [Room { limit: 700 * MIB, free: 500 * MIB }]);
    }

    #[test]
    fn the_first_version_is_read_too() {
        let mounts = "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 30 0:30 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let root = system(&[
            ("proc/self/cgroup", "5:memory:/docker/ab/x\n3:cpu,cpuacct:/other\n0::/\n".to_owned()),
            ("proc/self/mountinfo", mounts.to_owned()),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", bytes(512)),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", bytes(500)),
            ("sys/fs/cgroup/memory/memory.stat", statistics("total_", 300, 12)),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", bytes(256)),
            ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", bytes(56)),
        ]);
        let free: Vec<u64> = rooms(root.path()).iter().map(|room| room.free / MIB).collect();
        assert_eq!(free, [200, 324]);
    }

    #[test]
    fn a_container_sees_its_group_at_the_top() {
        // Without a namespace of groups its path is the machine's, which it does not see.
        for (group, top) in [("/docker/ab", "/docker/ab"), ("/docker/ab", "/"), ("/../x", "/")] {
            let mounts = format!("30 23 0:26 {top} /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
            let root = system(&[
                ("proc/self/cgroup", format!("0::{group}\n")),
                ("proc/self/mountinfo", mounts),
                ("sys/fs/cgroup/memory.max", bytes(100)),
                ("sys/fs/cgroup/memory.current", bytes(150)),
                // Another group of the container, not that of the name outside of it.
                ("sys/fs/cgroup/x/memory.max", bytes(20)),
                ("sys/fs/cgroup/x/memory.current", bytes(10)),
            ]);
            assert_eq!(rooms(root.path()), [Room { limit: 100 * MIB, free: 0 }], "{group} {top}");
        }
    }

    #[test]
    fn nothing_is_said_where_there_are_no_groups_or_no_limits() {
        assert_eq!(rooms(tempfile::tempdir().unwrap().path()), []);
        let root = system(&[
            ("proc/self/cgroup", "0::/a\nnonsense\n".to_owned()),
            ("proc/self/mountinfo", format!("nonsense\n{V2}")),
            ("sys/fs/cgroup/a/memory.max", "max\n".to_owned()),
            ("sys/fs/cgroup/a/memory.current", "many\n".to_owned()),
        ]);
        assert_eq!(rooms(root.path()), []);
    }
}
