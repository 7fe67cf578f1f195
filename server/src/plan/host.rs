//! What the host has, as far as plans depend on it.

use std::collections::{BTreeMap, BTreeSet};

use rlxc_container::cgroup::{Layout, Support};

use super::numbers;

/// Memory, processors and control groups.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Bytes of memory.
    pub memory: u64,
    /// Processors that work is scheduled on.
    pub cpus: BTreeSet<u32>,
    /// NUMA nodes with their processors.
    pub nodes: BTreeMap<u32, BTreeSet<u32>>,
    /// What limits can be honoured.
    pub support: Support,
    /// Whether hard resource limits can be raised: `CAP_SYS_RESOURCE` on the host, see setrlimit(2).
    pub may_raise_rlimits: bool,
}

impl HostFacts {
    /// Looks at the host. Processors that come later are for the next start of the daemon to find.
    pub fn probe(layout: &Layout) -> Self {
        let memory = rustix::system::sysinfo();
        let unit = u64::from(memory.mem_unit).max(1);
        let cpus = processors();
        Self {
            memory: memory.totalram.saturating_mul(unit),
            nodes: nodes(&cpus),
            cpus,
            support: Support::probe(layout),
            may_raise_rlimits: may_raise_rlimits(),
        }
    }

    /// `2 processors (0-1)`, for messages.
    pub fn processors_text(&self) -> String {
        let plural = if self.cpus.len() == 1 { "" } else { "s" };
        let list = numbers::format(&self.cpus);
        format!("{} processor{plural} ({list})", self.cpus.len())
    }
}

/// The kernel asks for the capability on the host: one in a user namespace does not count.
fn may_raise_rlimits() -> bool {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let status = read("/proc/self/status");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let ids = read("/proc/self/uid_map");
    let on_host = ids.split_whitespace().eq(["0", "0", "4294967295"]);
    on_host && effective.is_some_and(|all| all & CAP_SYS_RESOURCE != 0)
}

/// Those that are on, but for those that are kept free of everything (`isolcpus`).
fn processors() -> BTreeSet<u32> {
    const PLACE: &str = "/sys/devices/system/cpu";
    let read = |file: &str| {
        let text = std::fs::read_to_string(format!("{PLACE}/{file}")).unwrap_or_default();
        numbers::parse(&text).unwrap_or_default()
    };
    let (online, isolated) = (read("online"), read("isolated"));
    let cpus: BTreeSet<u32> = online.difference(&isolated).copied().collect();
    if cpus.is_empty() {
        return BTreeSet::from([0]);
    }
    cpus
}

fn nodes(cpus: &BTreeSet<u32>) -> BTreeMap<u32, BTreeSet<u32>> {
    const PLACE: &str = "/sys/devices/system/node";
    let online = std::fs::read_to_string(format!("{PLACE}/online")).unwrap_or_default();
    let mut nodes = BTreeMap::new();
    for node in numbers::parse(&online).unwrap_or_default() {
        let list = std::fs::read_to_string(format!("{PLACE}/node{node}/cpulist"));
        let list = numbers::parse(&list.unwrap_or_default()).unwrap_or_default();
        nodes.insert(node, list.intersection(cpus).copied().collect());
    }
    if nodes.is_empty() {
        nodes.insert(0, cpus.clone());
    }
    nodes
}
