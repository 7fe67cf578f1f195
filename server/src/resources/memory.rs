//! Memory, see proc_meminfo(5).

use std::collections::HashMap;

use rlxc_api::{ResourcesMemory, ResourcesMemoryNode};

use super::tree::Tree;

const NODES: &str = "sys/devices/system/node";

pub(super) fn read(tree: &Tree) -> ResourcesMemory {
    let text = tree.text("proc/meminfo");
    let facts = facts(&text);
    let get = |name: &str| facts.get(name).copied().unwrap_or(0);
    let page = get("Hugepagesize");
    let free = facts
        .get("MemAvailable")
        .copied()
        .unwrap_or_else(|| get("MemFree"));
    let nodes = tree.numbered(NODES, "node");
    ResourcesMemory {
        nodes: nodes
            .iter()
            .map(|(name, number)| node(tree, name, *number, page))
            .collect(),
        hugepages_total: get("HugePages_Total") * page,
        hugepages_used: get("HugePages_Total").saturating_sub(get("HugePages_Free")) * page,
        hugepages_size: page,
        used: get("MemTotal").saturating_sub(free),
        total: get("MemTotal"),
    }
}

fn node(tree: &Tree, name: &str, number: u64, page: u64) -> ResourcesMemoryNode {
    let text = tree.text(format!("{NODES}/{name}/meminfo"));
    let text = text.replace(&format!("Node {number} "), "");
    let facts = facts(&text);
    let get = |name: &str| facts.get(name).copied().unwrap_or(0);
    ResourcesMemoryNode {
        numa_node: number,
        hugepages_used: get("HugePages_Total").saturating_sub(get("HugePages_Free")) * page,
        hugepages_total: get("HugePages_Total") * page,
        used: get("MemUsed"),
        total: get("MemTotal"),
    }
}

/// `MemTotal: 16384 kB` in bytes; what has no unit is a number.
fn facts(text: &str) -> HashMap<&str, u64> {
    let fact = |line| -> Option<(&str, u64)> {
        let (name, value) = str::split_once(line, ':')?;
        let (number, factor) = match value.trim().strip_suffix(" kB") {
            Some(number) => (number, 1024),
            None => (value, 1),
        };
        Some((name.trim(), number.trim().parse::<u64>().ok()? * factor))
    };
    text.lines().filter_map(fact).collect()
}
