//! Limits as values of files, of both versions. Pure.

use super::layout::Controller;
use crate::spec::Limits;

/// A limit as files of both versions.
#[derive(Debug)]
pub(super) struct Setting {
    /// What users call it.
    pub(super) what: &'static str,
    pub(super) controller: Controller,
    pub(super) unified: Vec<File>,
    pub(super) legacy: Vec<File>,
    /// Whether a kernel without the file is no error: a matter of taste, not of safety.
    pub(super) optional: bool,
}

/// In place of a value: what the group above has.
pub(super) const ABOVE: &str = "";

/// One file; no value lifts it.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) value: Option<String>,
    /// What it holds when nothing is limited.
    pub(super) unlimited: &'static str,
}

impl File {
    fn new(name: &str, value: Option<u64>, unlimited: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.map(|value| value.to_string()),
            unlimited,
        }
    }
}

/// All but which processors and which disks, in the order in which they are written.
pub(super) fn all(limits: &Limits) -> Vec<Setting> {
    let mut all = vec![
        memory(limits),
        swap(limits),
        Setting {
            what: "limits.processes",
            controller: Controller::Pids,
            unified: vec![File::new("pids.max", limits.processes, "max")],
            legacy: vec![File::new("pids.max", limits.processes, "max")],
            optional: false,
        },
        cpu_time(limits),
        cpu_weight(limits),
        io_weight(limits),
    ];
    all.extend(HUGE_PAGES.iter().map(|names| huge_pages(limits, *names)));
    all
}

/// Version 1 holds memory and swap together to a limit that is never below that of memory: it is lifted first and set last.
fn memory(limits: &Limits) -> Setting {
    let both = limits
        .swap
        .zip(limits.memory)
        .map(|(swap, memory)| memory.saturating_add(swap));
    let mut legacy = vec![
        File::new("memory.memsw.limit_in_bytes", None, "-1"),
        File::new("memory.limit_in_bytes", limits.memory, "-1"),
        File::new("memory.soft_limit_in_bytes", limits.memory_soft, "-1"),
    ];
    legacy.extend(both.map(|both| File::new("memory.memsw.limit_in_bytes", Some(both), "-1")));
    Setting {
        what: "limits.memory",
        controller: Controller::Memory,
        unified: vec![
            File::new("memory.max", limits.memory, "max"),
            // What is below is taken from those who have more than their own.
            File::new("memory.low", limits.memory_soft, "0"),
        ],
        legacy,
        optional: false,
    }
}

fn swap(limits: &Limits) -> Setting {
    let never = limits.swap == Some(0);
    Setting {
        what: "limits.memory.swap",
        controller: Controller::Memory,
        unified: vec![File::new("memory.swap.max", limits.swap, "max")],
        legacy: vec![File::new(
            "memory.swappiness",
            if never { Some(0) } else { limits.swappiness },
            ABOVE,
        )],
        // A kernel without swap swaps nothing.
        optional: true,
    }
}

fn cpu_time(limits: &Limits) -> Setting {
    let time = limits.cpu_time;
    let period = time.map(|time| File::new("cpu.cfs_period_us", Some(time.period_us), "100000"));
    let mut legacy: Vec<File> = period.into_iter().collect();
    legacy.push(File::new(
        "cpu.cfs_quota_us",
        time.map(|time| time.quota_us),
        "-1",
    ));
    Setting {
        what: "limits.cpu.allowance",
        controller: Controller::Cpu,
        unified: vec![File {
            name: "cpu.max".to_owned(),
            value: time.map(|time| format!("{} {}", time.quota_us, time.period_us)),
            unlimited: "max 100000",
        }],
        legacy,
        optional: false,
    }
}

/// 100 of version 2 is 1,024 of version 1.
fn cpu_weight(limits: &Limits) -> Setting {
    let shares = limits.cpu_weight.map(|weight| (weight * 1024 / 100).max(2));
    Setting {
        what: "limits.cpu.allowance",
        controller: Controller::Cpu,
        unified: vec![File::new("cpu.weight", limits.cpu_weight, "100")],
        legacy: vec![File::new("cpu.shares", shares, "1024")],
        optional: false,
    }
}

/// By BFQ or, on version 2, by the kernel's model of cost: whichever a device has.
fn io_weight(limits: &Limits) -> Setting {
    let weight = limits.io_weight;
    Setting {
        what: "limits.disk.priority",
        controller: Controller::Io,
        unified: vec![
            File::new("io.weight", weight, "default 100"),
            File::new("io.bfq.weight", weight, "default 100"),
        ],
        legacy: vec![
            File::new("blkio.bfq.weight", weight, "100"),
            File::new("blkio.weight", weight.map(|weight| weight.max(10)), "500"),
        ],
        optional: true,
    }
}

/// Sizes of huge pages as the kernel writes them, with the files of both versions and the key.
const HUGE_PAGES: [(&str, &str, &str, &str); 4] = [
    (
        "64KB",
        "hugetlb.64KB.max",
        "hugetlb.64KB.limit_in_bytes",
        "limits.hugepages.64KB",
    ),
    (
        "1MB",
        "hugetlb.1MB.max",
        "hugetlb.1MB.limit_in_bytes",
        "limits.hugepages.1MB",
    ),
    (
        "2MB",
        "hugetlb.2MB.max",
        "hugetlb.2MB.limit_in_bytes",
        "limits.hugepages.2MB",
    ),
    (
        "1GB",
        "hugetlb.1GB.max",
        "hugetlb.1GB.limit_in_bytes",
        "limits.hugepages.1GB",
    ),
];

fn huge_pages(
    limits: &Limits,
    (size, unified, legacy, what): (&str, &str, &str, &'static str),
) -> Setting {
    let bytes = limits.hugepages.get(size).copied();
    Setting {
        what,
        controller: Controller::Hugetlb,
        unified: vec![File::new(unified, bytes, "max")],
        legacy: vec![File::new(legacy, bytes, "-1")],
        optional: false,
    }
}
