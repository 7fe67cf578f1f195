//! Figures of a container that only monitoring asks for, in more detail than [`super::Usage`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::layout::{Controller, Layout};
use super::{CgroupError, read, usage};

/// Figures of one moment. What this host does not count is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The same figures as for a state.
    pub usage: usage::Usage,
    /// Microseconds of processor time in user mode.
    pub user_us: u64,
    /// Microseconds of processor time in the kernel.
    pub system_us: u64,
    /// Processors that it may use.
    pub cpus: Option<u64>,
    /// Where its memory is.
    pub memory: Option<MemoryStatistics>,
    /// What it read and wrote, by device.
    pub disks: Vec<DiskStatistics>,
}

/// Bytes of memory by kind, see `memory.stat` in Documentation/admin-guide/cgroup-v2.rst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStatistics {
    /// Anonymous, used lately.
    pub active_anon: u64,
    /// Of files, used lately.
    pub active_file: u64,
    /// Anonymous, not used lately.
    pub inactive_anon: u64,
    /// Of files, not used lately.
    pub inactive_file: u64,
    /// Of files.
    pub cached: u64,
    /// To be written.
    pub dirty: u64,
    /// Being written.
    pub writeback: u64,
    /// Of files, mapped.
    pub mapped: u64,
    /// Anonymous.
    pub rss: u64,
    /// Shared.
    pub shmem: u64,
    /// Locked.
    pub unevictable: u64,
    /// How often a process was killed for want of memory.
    pub oom_kills: u64,
}

/// What was read from and written to a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiskStatistics {
    /// Its number: `254:0`.
    pub number: String,
    /// Its name: `vda`.
    pub device: String,
    /// Bytes.
    pub read_bytes: u64,
    /// Requests.
    pub reads: u64,
    /// Bytes.
    pub written_bytes: u64,
    /// Requests.
    pub writes: u64,
}

pub(super) fn measure(layout: &Layout, name: &Path) -> Result<Statistics, CgroupError> {
    let group = layout.unified.join(name);
    let cpu = read(&group.join("cpu.stat"))?;
    Ok(Statistics {
        usage: usage::measure(layout, name)?,
        user_us: value(&cpu, "user_usec"),
        system_us: value(&cpu, "system_usec"),
        cpus: cpus(layout, name, &group),
        memory: memory(layout, name, &group),
        disks: measure_disks(layout, name),
    })
}

/// Microseconds in user mode and in the kernel.
pub(super) fn cpu_time(layout: &Layout, name: &Path) -> (u64, u64) {
    let cpu = read(&layout.unified.join(name).join("cpu.stat")).unwrap_or_default();
    (value(&cpu, "user_usec"), value(&cpu, "system_usec"))
}

fn cpus(layout: &Layout, name: &Path, group: &Path) -> Option<u64> {
    Some(kept_to(layout, name, group)?.len() as u64)
}

/// The processors that a cpuset keeps it to.
fn kept_to(layout: &Layout, name: &Path, group: &Path) -> Option<BTreeSet<u32>> {
    let unified = read(&group.join("cpuset.cpus.effective"));
    let list = unified.or_else(|error| match layout.legacy.get(&Controller::Cpuset) {
        Some(mount) => read(&mount.join(name).join("cpuset.effective_cpus")),
        None => Err(error),
    });
    Some(numbers(&list.ok()?))
}

/// The processors that it may use: all of the host's, if no cpuset says otherwise.
pub(super) fn effective_cpus(layout: &Layout, name: &Path) -> BTreeSet<u32> {
    let kept = kept_to(layout, name, &layout.unified.join(name));
    kept.filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| {
        numbers(&read(Path::new("/sys/devices/system/cpu/online")).unwrap_or_default())
    })
}

/// The numbers in a list such as `0-3,8`.
fn numbers(list: &str) -> BTreeSet<u32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<u32>().ok()?..=to.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

/// What it read and wrote: `io.stat`, or what version 1 counts for a group with a limit.
pub(super) fn measure_disks(layout: &Layout, name: &Path) -> Vec<DiskStatistics> {
    let Some(mount) = layout.legacy.get(&Controller::Io) else {
        return disks(&read(&layout.unified.join(name).join("io.stat")).unwrap_or_default());
    };
    let figures = |file: &str| read(&mount.join(name).join(file)).unwrap_or_default();
    legacy_disks(
        &figures("blkio.throttle.io_service_bytes_recursive"),
        &figures("blkio.throttle.io_serviced_recursive"),
    )
}

/// `254:0 Read 4096` for each device and kind; put into the words of version 2.
fn legacy_disks(bytes: &str, requests: &str) -> Vec<DiskStatistics> {
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for (text, read, written) in [(bytes, "rbytes", "wbytes"), (requests, "rios", "wios")] {
        for line in text.lines() {
            let mut fields = line.split(' ');
            let (Some(device), Some(kind), Some(figure)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let name = match kind {
                "Read" => read,
                "Write" => written,
                _ => continue,
            };
            let fields = [" ", name, "=", figure].concat();
            lines.entry(device).or_default().push_str(&fields);
        }
    }
    let text: Vec<String> = lines
        .iter()
        .map(|(device, figures)| format!("{device}{figures}"))
        .collect();
    disks(&text.join("\n"))
}

/// Where its memory is, where that is counted.
pub(super) fn memory(layout: &Layout, name: &Path, group: &Path) -> Option<MemoryStatistics> {
    if let Ok(stat) = read(&group.join("memory.stat")) {
        let events = read(&group.join("memory.events")).unwrap_or_default();
        return Some(unified(&stat, &events));
    }
    let group = layout.legacy.get(&Controller::Memory)?.join(name);
    let stat = read(&group.join("memory.stat")).ok()?;
    let events = read(&group.join("memory.oom_control")).unwrap_or_default();
    Some(legacy(&stat, &events))
}

fn unified(stat: &str, events: &str) -> MemoryStatistics {
    MemoryStatistics {
        active_anon: value(stat, "active_anon"),
        active_file: value(stat, "active_file"),
        inactive_anon: value(stat, "inactive_anon"),
        inactive_file: value(stat, "inactive_file"),
        cached: value(stat, "file"),
        dirty: value(stat, "file_dirty"),
        writeback: value(stat, "file_writeback"),
        mapped: value(stat, "file_mapped"),
        rss: value(stat, "anon"),
        shmem: value(stat, "shmem"),
        unevictable: value(stat, "unevictable"),
        oom_kills: value(events, "oom_kill"),
    }
}

/// See `stat file` in Documentation/admin-guide/cgroup-v1/memory.rst.
fn legacy(stat: &str, events: &str) -> MemoryStatistics {
    MemoryStatistics {
        active_anon: value(stat, "total_active_anon"),
        active_file: value(stat, "total_active_file"),
        inactive_anon: value(stat, "total_inactive_anon"),
        inactive_file: value(stat, "total_inactive_file"),
        cached: value(stat, "total_cache"),
        dirty: value(stat, "total_dirty"),
        writeback: value(stat, "total_writeback"),
        mapped: value(stat, "total_mapped_file"),
        rss: value(stat, "total_rss"),
        shmem: value(stat, "total_shmem"),
        unevictable: value(stat, "total_unevictable"),
        oom_kills: value(events, "oom_kill"),
    }
}

/// `254:0 rbytes=1 wbytes=2 rios=3 wios=4 …` for each device.
fn disks(stat: &str) -> Vec<DiskStatistics> {
    let disk = |line: &str| {
        let (numbers, rest) = line.split_once(' ')?;
        let link = std::fs::read_link(format!("/sys/dev/block/{numbers}")).ok()?;
        let field = |wanted: &str| {
            let mut fields = rest.split(' ').filter_map(|field| field.split_once('='));
            let found = fields.find(|(name, _)| *name == wanted);
            found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
        };
        Some(DiskStatistics {
            number: numbers.to_owned(),
            device: link.file_name()?.to_string_lossy().into_owned(),
            read_bytes: field("rbytes"),
            reads: field("rios"),
            written_bytes: field("wbytes"),
            writes: field("wios"),
        })
    };
    stat.lines().filter_map(disk).collect()
}

/// The number behind a name at the beginning of a line.
fn value(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(key, _)| *key == name);
    found
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_both_layouts() {
        let directory = tempfile::tempdir().unwrap();
        let (new, old) = (directory.path().join("new"), directory.path().join("old"));
        let write = |path: &Path, text: &str| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            &new.join("c/cpu.stat"),
            "usage_usec 30\nuser_usec 20\nsystem_usec 10\n",
        );
        write(
            &old.join("c/memory.stat"),
            "cache 1\ntotal_cache 2\ntotal_rss 3\n",
        );
        write(
            &old.join("c/memory.oom_control"),
            "under_oom 0\noom_kill 4\n",
        );
        let mut layout = Layout {
            unified: new.clone(),
            legacy: BTreeMap::from([(Controller::Memory, old)]),
            hierarchies: Vec::new(),
        };
        let read = measure(&layout, Path::new("c")).unwrap();
        let memory = read.memory.unwrap();
        assert_eq!((read.user_us, read.system_us, read.cpus), (20, 10, None));
        assert_eq!((memory.cached, memory.rss, memory.oom_kills), (2, 3, 4));
        layout.legacy.clear();
        write(
            &new.join("c/memory.stat"),
            "anon 5\nfile 6\nactive_anon 7\n",
        );
        write(&new.join("c/memory.events"), "oom 9\noom_kill 8\n");
        write(&new.join("c/cpuset.cpus.effective"), "0-2,7\n");
        let read = measure(&layout, Path::new("c")).unwrap();
        let memory = read.memory.unwrap();
        assert_eq!((memory.rss, memory.cached, memory.oom_kills), (5, 6, 8));
        assert_eq!((memory.active_anon, read.cpus), (7, Some(4)));
        assert!(measure(&layout, Path::new("nothing")).is_err());
    }

    #[test]
    fn devices_that_are_gone_are_left_out() {
        assert!(legacy_disks("999:999 Read 1\nTotal 1\n", "").is_empty());
        assert!(disks("999:999 rbytes=1 wbytes=2 rios=3 wios=4\nnonsense\n").is_empty());
    }
}
