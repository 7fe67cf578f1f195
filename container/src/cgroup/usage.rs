//! What a container uses, from whichever source this host has.

use std::path::Path;

use super::layout::{Controller, Layout};
use super::{CgroupError, read, tree};

/// Figures of one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of memory. Without a memory controller: what is resident in its processes, pages that they share counted
    /// for each.
    pub memory: u64,
    /// The most it ever was, where the kernel counts it.
    pub memory_peak: Option<u64>,
    /// The limit in bytes, if there is one.
    pub memory_limit: Option<u64>,
    /// Bytes of swap, where the kernel counts it.
    pub swap: Option<u64>,
    /// Nanoseconds of processor time.
    pub cpu_ns: u64,
    /// Processes; threads too where the kernel counts them.
    pub processes: u64,
}

pub(super) fn measure(layout: &Layout, name: &Path) -> Result<Usage, CgroupError> {
    let unified = layout.unified.join(name);
    let mut usage = Usage {
        cpu_ns: cpu_nanoseconds(&read(&unified.join("cpu.stat"))?),
        ..Usage::default()
    };
    measure_memory(layout, name, &unified, &mut usage);
    usage.processes = tasks(layout, name);
    Ok(usage)
}

/// Processes; threads too where the kernel counts them.
pub(super) fn tasks(layout: &Layout, name: &Path) -> u64 {
    let unified = layout.unified.join(name);
    let pids = number(&unified.join("pids.current")).or_else(|| {
        let group = layout.legacy.get(&Controller::Pids)?.join(name);
        number(&group.join("pids.current"))
    });
    pids.unwrap_or_else(|| tree::processes(&unified).len() as u64)
}

fn measure_memory(layout: &Layout, name: &Path, unified: &Path, usage: &mut Usage) {
    let Some(counted) = counted_memory(layout, name) else {
        usage.memory = tree::processes(unified).into_iter().map(resident).sum();
        return;
    };
    usage.memory = counted.usage;
    usage.memory_peak = counted.peak;
    usage.memory_limit = counted.limit;
    usage.swap = counted.swap;
}

/// What a memory controller counts, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CountedMemory {
    pub(super) usage: u64,
    pub(super) peak: Option<u64>,
    pub(super) limit: Option<u64>,
    pub(super) swap: Option<u64>,
    pub(super) swap_limit: Option<u64>,
}

/// `None` where no controller counts it: on hybrid hosts, without a limit.
pub(super) fn counted_memory(layout: &Layout, name: &Path) -> Option<CountedMemory> {
    let unified = layout.unified.join(name);
    if let Some(usage) = number(&unified.join("memory.current")) {
        return Some(CountedMemory {
            usage,
            peak: number(&unified.join("memory.peak")),
            limit: number(&unified.join("memory.max")),
            swap: number(&unified.join("memory.swap.current")),
            swap_limit: number(&unified.join("memory.swap.max")),
        });
    }
    let group = layout.legacy.get(&Controller::Memory)?.join(name);
    let usage = number(&group.join("memory.usage_in_bytes"))?;
    // "No limit" of version 1 is the largest number of whole pages.
    let limit = |file: &str| number(&group.join(file)).filter(|limit| *limit < 1 << 62);
    let both = number(&group.join("memory.memsw.usage_in_bytes"));
    let memory = limit("memory.limit_in_bytes");
    let both_limit = limit("memory.memsw.limit_in_bytes");
    Some(CountedMemory {
        usage,
        peak: number(&group.join("memory.max_usage_in_bytes")),
        limit: memory,
        swap: both.map(|both| both.saturating_sub(usage)),
        swap_limit: both_limit
            .zip(memory)
            .map(|(both, memory)| both.saturating_sub(memory)),
    })
}

/// `VmRSS` of `/proc/PID/status`, in KiB there.
fn resident(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.and_then(|kib| kib.parse().ok()).unwrap_or_default();
    kib * 1024
}

fn cpu_nanoseconds(stat: &str) -> u64 {
    let usec: u64 = stat
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))
        .and_then(|word| word.parse().ok())
        .unwrap_or_default();
    usec * 1000
}

/// The number in a file; `None` for "max" and for a file that is not there.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}
