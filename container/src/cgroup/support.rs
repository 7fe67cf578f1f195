//! What this host's control groups can do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::layout::{Controller, Layout};

/// What limits a host can honour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// The controllers that are there, on either version.
    pub controllers: BTreeSet<Controller>,
    /// Those of them that are on version 1.
    pub legacy: BTreeSet<Controller>,
    /// Whether swap can be limited.
    pub swap: bool,
    /// Whether shares of block devices have an effect: some device's scheduler knows them.
    pub io_weight: bool,
    /// Sizes of huge pages that there are, as the kernel writes them: `2MB`.
    pub huge_pages: BTreeSet<String>,
}

impl Support {
    /// Looks at the host.
    pub fn probe(layout: &Layout) -> Self {
        let unified = fs::read_to_string(layout.unified.join("cgroup.controllers"));
        let unified = unified.unwrap_or_default();
        let on_unified = |controller: &Controller| {
            unified
                .split_whitespace()
                .any(|name| name == controller.name())
        };
        let legacy: BTreeSet<Controller> = layout.legacy.keys().copied().collect();
        let controllers: BTreeSet<Controller> = Controller::ALL
            .into_iter()
            .filter(|controller| legacy.contains(controller) || on_unified(controller))
            .collect();
        let swap = match layout.legacy.get(&Controller::Memory) {
            Some(mount) => mount.join("memory.memsw.limit_in_bytes").exists(),
            None => controllers.contains(&Controller::Memory) && Path::new("/proc/swaps").exists(),
        };
        Self {
            swap,
            io_weight: controllers.contains(&Controller::Io) && is_weighed(layout),
            huge_pages: huge_pages(),
            controllers,
            legacy,
        }
    }
}

/// BFQ on some device, or the cost model of version 2; see Documentation/block/bfq-iosched.rst and `io.cost.qos`.
fn is_weighed(layout: &Layout) -> bool {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let bfq = devices
        .filter_map(|device| fs::read_to_string(device.path().join("queue/scheduler")).ok())
        .any(|text| text.contains("[bfq]"));
    let cost = fs::read_to_string(layout.unified.join("io.cost.qos")).unwrap_or_default();
    bfq || cost.contains("enable=1")
}

/// `hugepages-2048kB` is `2MB` in the names of control groups.
fn huge_pages() -> BTreeSet<String> {
    let entries = fs::read_dir("/sys/kernel/mm/hugepages")
        .into_iter()
        .flatten();
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kib: u64 = name
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse()
                .ok()?;
            Some(match kib {
                0..1024 => format!("{kib}KB"),
                1024..0x10_0000 => format!("{}MB", kib >> 10),
                _ => format!("{}GB", kib >> 20),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_something() {
        let layout = Layout::detect().unwrap();
        let support = Support::probe(&layout);
        assert!(support.legacy.is_subset(&support.controllers));
        for controller in layout.legacy.keys() {
            assert!(support.controllers.contains(controller));
        }
    }
}
