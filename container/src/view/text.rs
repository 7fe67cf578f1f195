//! The files, from figures and from what the host's own say. Pure; formats are those of proc(5).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::cgroup::{DiskStatistics, MemoryFigures};

/// What a container has used since it began; times in hundredths of a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub(super) hundredths: u64,
    /// When that was, since the host booted.
    pub(super) began: u64,
    pub(super) user: u64,
    pub(super) system: u64,
    /// Processors that it may use.
    pub(super) cpus: u64,
}

impl Used {
    fn idle(&self) -> u64 {
        let all = self.hundredths * self.cpus;
        all.saturating_sub(self.user + self.system)
    }
}

/// The processors of the container, counted from 0.
pub(super) fn cpuinfo(host: &str, cpus: &BTreeSet<u32>) -> String {
    let mut out = String::new();
    let mut seen = 0;
    for paragraph in host
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
    {
        let first = paragraph
            .lines()
            .next()
            .and_then(|line| line.split_once(':'));
        let number = first
            .filter(|(name, _)| name.trim() == "processor")
            .and_then(|(_, number)| number.trim().parse::<u32>().ok());
        match number {
            Some(number) if !cpus.contains(&number) => continue,
            Some(_) => {
                let rest = paragraph.split_once('\n').map_or("", |(_, rest)| rest);
                // Writing to a String cannot fail.
                writeln!(out, "processor\t: {seen}\n{}", rest.trim_end_matches('\n')).ok();
                seen += 1;
            }
            None => writeln!(out, "{}", paragraph.trim_end_matches('\n')).unwrap_or_default(),
        }
        out.push('\n');
    }
    out
}

/// `/sys/devices/system/cpu/online`.
pub(super) fn online(cpus: usize) -> String {
    match cpus {
        0 | 1 => "0\n".to_owned(),
        many => format!("0-{}\n", many - 1),
    }
}

pub(super) fn uptime(used: &Used) -> String {
    let (up, idle) = (used.hundredths, used.idle());
    format!(
        "{}.{:02} {}.{:02}\n",
        up / 100,
        up % 100,
        idle / 100,
        idle % 100
    )
}

pub(super) fn loadavg([one, five, fifteen]: [f64; 3], tasks: u64) -> String {
    format!("{one:.2} {five:.2} {fifteen:.2} 1/{tasks} {tasks}\n")
}

/// Its own time on each of its processors, which the kernel does not tell apart; what it does not count for a container
/// is nothing or the host's.
pub(super) fn stat(host: &str, used: &Used) -> String {
    let mut out = String::new();
    let mut line = |name: &str, parts: u64| {
        let part = |time: u64| time / parts;
        let times = [part(used.user), 0, part(used.system), part(used.idle())];
        let times = times.map(|time| time.to_string()).join(" ");
        writeln!(out, "{name} {times} 0 0 0 0 0 0").ok();
    };
    line("cpu ", 1);
    for cpu in 0..used.cpus {
        line(&format!("cpu{cpu}"), used.cpus);
    }
    for kept in host.lines().filter(|line| !line.starts_with("cpu")) {
        let (name, rest) = kept.split_once(' ').unwrap_or((kept, ""));
        match name {
            "intr" | "softirq" | "procs_blocked" => writeln!(out, "{name} 0").ok(),
            "procs_running" => writeln!(out, "procs_running 1").ok(),
            "btime" => {
                let booted: u64 = rest.trim().parse().unwrap_or(0);
                writeln!(out, "btime {}", booted + used.began / 100).ok()
            }
            _ => writeln!(out, "{kept}").ok(),
        };
    }
    out
}

/// The host's, with what the container has in place of what the host has.
pub(super) fn meminfo(host: &str, memory: &MemoryFigures) -> String {
    let shown = Shown::new(host, memory);
    let mut out = String::new();
    for line in host.lines() {
        let name = line.split(':').next().unwrap_or_default();
        match shown.of(name, memory) {
            Some(kib) => writeln!(out, "{:<15} {kib:>8} kB", format!("{name}:")).ok(),
            None => writeln!(out, "{line}").ok(),
        };
    }
    out
}

/// KiB.
struct Shown {
    total: u64,
    free: u64,
    available: u64,
    swap_total: u64,
    swap_free: u64,
}

impl Shown {
    fn new(host: &str, memory: &MemoryFigures) -> Self {
        let host_total = field(host, "MemTotal");
        let limit = memory.limit.map_or(u64::MAX, |limit| limit / 1024);
        let total = host_total.min(limit);
        let used = memory.usage / 1024;
        let files = (memory.statistics.active_file + memory.statistics.inactive_file) / 1024;
        // No more than the host has left: where there is no limit the others' share is not free.
        let left = field(host, "MemAvailable");
        let free = total.saturating_sub(used).min(left);
        let swap_limit = memory.swap_limit.map_or(u64::MAX, |limit| limit / 1024);
        let swap_total = field(host, "SwapTotal").min(swap_limit);
        let swap_used = memory.swap_usage / 1024;
        Self {
            total,
            free,
            available: (free + files).min(left).min(total),
            swap_total,
            swap_free: swap_total
                .saturating_sub(swap_used)
                .min(field(host, "SwapFree")),
        }
    }

    /// `None` for what is the host's.
    fn of(&self, name: &str, memory: &MemoryFigures) -> Option<u64> {
        let statistics = &memory.statistics;
        let bytes = match name {
            "MemTotal" => return Some(self.total),
            "MemFree" => return Some(self.free),
            "MemAvailable" => return Some(self.available),
            "SwapTotal" => return Some(self.swap_total),
            "SwapFree" => return Some(self.swap_free),
            "Buffers" | "SwapCached" | "Slab" | "SReclaimable" | "SUnreclaim" | "KReclaimable" => 0,
            "Cached" => statistics.cached,
            "Active" => statistics.active_anon + statistics.active_file,
            "Inactive" => statistics.inactive_anon + statistics.inactive_file,
            "Active(anon)" => statistics.active_anon,
            "Inactive(anon)" => statistics.inactive_anon,
            "Active(file)" => statistics.active_file,
            "Inactive(file)" => statistics.inactive_file,
            "Unevictable" | "Mlocked" => statistics.unevictable,
            "Dirty" => statistics.dirty,
            "Writeback" => statistics.writeback,
            "AnonPages" => statistics.rss,
            "Mapped" => statistics.mapped,
            "Shmem" => statistics.shmem,
            _ => return None,
        };
        Some(bytes / 1024)
    }
}

pub(super) fn field(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0)
}

pub(super) fn swaps(host_meminfo: &str, memory: &MemoryFigures) -> String {
    let shown = Shown::new(host_meminfo, memory);
    let mut out = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned();
    if shown.swap_total > 0 {
        let used = shown.swap_total - shown.swap_free;
        writeln!(
            out,
            "none\t\t\t\t\tvirtual\t\t{}\t\t{used}\t\t0",
            shown.swap_total
        )
        .ok();
    }
    out
}

/// What it read and wrote; times are not counted for a container.
pub(super) fn diskstats(disks: &[DiskStatistics]) -> String {
    let mut out = String::new();
    for disk in disks {
        let Some((major, minor)) = disk.number.split_once(':') else {
            continue;
        };
        let (read, written) = (disk.read_bytes / 512, disk.written_bytes / 512);
        let (name, reads, writes) = (&disk.device, disk.reads, disk.writes);
        writeln!(
            out,
            "{major:>4} {minor:>7} {name} {reads} 0 {read} 0 {writes} 0 {written} 0 0 0 0 0 0 0 0 0 0"
        )
        .ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::MemoryStatistics;

    const HOST: &str = "MemTotal:       16000000 kB\nMemFree:         2000000 kB\nMemAvailable:    8000000 kB\nCached:          5000000 kB\nSwapTotal:       1000000 kB\nSwapFree:         900000 kB\nHugePages_Total:       0\n";

    fn memory() -> MemoryFigures {
        MemoryFigures {
            usage: 200 << 20,
            limit: Some(512 << 20),
            swap_usage: 0,
            swap_limit: Some(0),
            statistics: MemoryStatistics {
                cached: 100 << 20,
                inactive_file: 50 << 20,
                ..MemoryStatistics::default()
            },
        }
    }

    #[test]
    fn memory_is_what_the_container_got() {
        assert_eq!(
            meminfo(HOST, &memory()),
            "MemTotal:         524288 kB\nMemFree:          319488 kB\nMemAvailable:     370688 kB\nCached:           102400 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\nHugePages_Total:       0\n"
        );
        assert_eq!(swaps(HOST, &memory()).lines().count(), 1);
        let unlimited = MemoryFigures {
            limit: None,
            swap_limit: None,
            ..memory()
        };
        let text = meminfo(HOST, &unlimited);
        assert_eq!(field(&text, "MemTotal"), 16_000_000);
        assert_eq!(
            field(&text, "MemFree"),
            8_000_000,
            "the others have the rest"
        );
        assert!(swaps(HOST, &unlimited).contains("virtual\t\t1000000\t\t100000\t\t0"));
    }

    #[test]
    fn processors_are_counted_anew() {
        let host = "processor\t: 0\nmodel\t: a\n\nprocessor\t: 1\nmodel\t: b\n\nprocessor\t: 2\nmodel\t: c\n\n";
        let text = cpuinfo(host, &BTreeSet::from([1, 2]));
        assert_eq!(
            text,
            "processor\t: 0\nmodel\t: b\n\nprocessor\t: 1\nmodel\t: c\n\n"
        );
        assert_eq!((online(1).as_str(), online(2).as_str()), ("0\n", "0-1\n"));
    }

    #[test]
    fn times_are_its_own() {
        let used = Used {
            hundredths: 1000,
            began: 500,
            user: 300,
            system: 100,
            cpus: 2,
        };
        assert_eq!(uptime(&used), "10.00 16.00\n");
        let text = stat(
            "cpu  9 9 9 9\ncpu0 9 9 9 9\nintr 5 1 2\nctxt 77\nbtime 1000\nprocs_running 9\n",
            &used,
        );
        assert_eq!(
            text,
            "cpu  300 0 100 1600 0 0 0 0 0 0\ncpu0 150 0 50 800 0 0 0 0 0 0\ncpu1 150 0 50 800 0 0 0 0 0 0\nintr 0\nctxt 77\nbtime 1005\nprocs_running 1\n"
        );
        assert_eq!(loadavg([0.5, 0.25, 0.0], 7), "0.50 0.25 0.00 1/7 7\n");
    }

    #[test]
    fn disks_have_their_numbers() {
        let disk = DiskStatistics {
            number: "254:0".into(),
            device: "vda".into(),
            read_bytes: 1024,
            reads: 2,
            written_bytes: 512,
            writes: 1,
        };
        let text = diskstats(&[disk]);
        assert_eq!(text, " 254       0 vda 2 0 2 0 1 0 1 0 0 0 0 0 0 0 0 0 0\n");
        assert_eq!(text.split_whitespace().count(), 20);
    }
}
