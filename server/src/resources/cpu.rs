//! Processors, see Documentation/admin-guide/cputopology.rst.

use std::collections::{BTreeMap, BTreeSet};

use rlxc_api::{
    ResourcesCpu, ResourcesCpuCache, ResourcesCpuCore, ResourcesCpuSocket, ResourcesCpuThread,
};

use super::tree::Tree;

const CPUS: &str = "sys/devices/system/cpu";

pub(super) fn read(tree: &Tree) -> ResourcesCpu {
    let models = models(tree);
    let isolated = numbers(&tree.text(format!("{CPUS}/isolated")));
    let mut sockets: BTreeMap<u64, ResourcesCpuSocket> = BTreeMap::new();
    let mut total = 0;
    for (name, number) in tree.numbered(CPUS, "cpu") {
        let directory = format!("{CPUS}/{name}");
        let topology = |file: &str| tree.number(format!("{directory}/topology/{file}"));
        // One that is off has no topology.
        let package = topology("physical_package_id").unwrap_or(0);
        let socket = sockets
            .entry(package)
            .or_insert_with(|| new_socket(tree, &directory, package, models.get(&number)));
        let key = (
            topology("die_id").unwrap_or(0),
            topology("core_id").unwrap_or(number),
        );
        let frequency = frequency(tree, &directory, "scaling_cur_freq")
            .or_else(|| models.get(&number).and_then(|model| model.mhz))
            .unwrap_or(0);
        let core = core_of(socket, key, frequency);
        core.threads.push(ResourcesCpuThread {
            id: i64::try_from(number).unwrap_or(i64::MAX),
            numa_node: node(tree, &directory),
            thread: core.threads.len() as u64,
            // The first processor often can't be switched off and has no such file.
            online: tree.number(format!("{directory}/online")) != Some(0),
            isolated: isolated.contains(&number),
        });
        total += 1;
    }
    for socket in sockets.values_mut() {
        let sum: u64 = socket.cores.iter().map(|core| core.frequency).sum();
        socket.frequency = sum / (socket.cores.len() as u64).max(1);
    }
    ResourcesCpu {
        architecture: rustix::system::uname()
            .machine()
            .to_string_lossy()
            .into_owned(),
        sockets: sockets.into_values().collect(),
        total,
    }
}

fn core_of(
    socket: &mut ResourcesCpuSocket,
    (die, core): (u64, u64),
    frequency: u64,
) -> &mut ResourcesCpuCore {
    let known = |found: &ResourcesCpuCore| found.core == core && found.die == die;
    let at = socket.cores.iter().position(known).unwrap_or_else(|| {
        socket.cores.push(ResourcesCpuCore {
            core,
            die,
            threads: Vec::new(),
            frequency,
        });
        socket.cores.len() - 1
    });
    &mut socket.cores[at]
}

fn new_socket(
    tree: &Tree,
    directory: &str,
    socket: u64,
    model: Option<&Model>,
) -> ResourcesCpuSocket {
    let model = model.cloned().unwrap_or_default();
    ResourcesCpuSocket {
        name: model.name,
        vendor: model.vendor,
        socket,
        cache: caches(tree, directory),
        cores: Vec::new(),
        frequency: 0,
        frequency_minimum: frequency(tree, directory, "cpuinfo_min_freq").unwrap_or(0),
        frequency_turbo: frequency(tree, directory, "cpuinfo_max_freq").unwrap_or(0),
    }
}

/// MHz; the kernel says kHz.
fn frequency(tree: &Tree, directory: &str, file: &str) -> Option<u64> {
    Some(tree.number(format!("{directory}/cpufreq/{file}"))? / 1000)
}

fn node(tree: &Tree, directory: &str) -> u64 {
    let nodes = tree.numbered(directory, "node");
    nodes.first().map_or(0, |(_, number)| *number)
}

fn caches(tree: &Tree, directory: &str) -> Vec<ResourcesCpuCache> {
    let directory = format!("{directory}/cache");
    let all = tree.numbered(&directory, "index");
    all.into_iter()
        .map(|(name, _)| {
            let text = tree.text(format!("{directory}/{name}/size"));
            let (digits, unit) = text.split_at(text.trim_end_matches(['K', 'M']).len());
            let factor = match unit {
                "K" => 1 << 10,
                "M" => 1 << 20,
                _ => 1,
            };
            ResourcesCpuCache {
                level: tree
                    .number(format!("{directory}/{name}/level"))
                    .unwrap_or(0),
                kind: tree.text(format!("{directory}/{name}/type")),
                size: digits.parse::<u64>().unwrap_or(0) * factor,
            }
        })
        .collect()
}

#[derive(Debug, Clone, Default)]
struct Model {
    vendor: String,
    name: String,
    mhz: Option<u64>,
}

/// What `/proc/cpuinfo` says of each processor.
fn models(tree: &Tree) -> BTreeMap<u64, Model> {
    let text = tree.text("proc/cpuinfo");
    let mut all = BTreeMap::new();
    for paragraph in text.split("\n\n") {
        let value = |wanted: &str| {
            let mut lines = paragraph.lines().filter_map(|line| line.split_once(':'));
            let (_, value) = lines.find(|(name, _)| name.trim() == wanted)?;
            Some(value.trim().to_owned())
        };
        let Some(number) = value("processor").and_then(|text| text.parse().ok()) else {
            continue;
        };
        let whole = |text: String| text.split('.').next()?.parse().ok();
        let model = Model {
            vendor: value("vendor_id").unwrap_or_default(),
            name: value("model name").unwrap_or_default(),
            mhz: value("cpu MHz").and_then(whole),
        };
        all.insert(number, model);
    }
    all
}

/// A list as the kernel writes it: `0-3,8`.
fn numbers(list: &str) -> BTreeSet<u64> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.trim().parse::<u64>().ok()?..=to.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}
