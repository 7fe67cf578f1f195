//! Disks, see Documentation/ABI/stable/sysfs-block.

use std::collections::HashSet;

use rlxc_api::{ResourcesStorage, ResourcesStorageDisk, ResourcesStoragePartition};

use super::devices::numa_node;
use super::tree::Tree;

const BLOCKS: &str = "sys/class/block";
/// The kernel counts in these, whatever a disk's blocks are.
const SECTOR: u64 = 512;

pub(super) fn read(tree: &Tree) -> ResourcesStorage {
    let mounted = mounted(tree);
    // What has no device below it is made of something else: a loop, memory, other disks.
    let real = |name: &String| {
        tree.exists(format!("{BLOCKS}/{name}/device"))
            && !tree.exists(format!("{BLOCKS}/{name}/partition"))
    };
    let disks: Vec<_> = tree
        .names(BLOCKS)
        .into_iter()
        .filter(real)
        .map(|name| disk(tree, name, &mounted))
        .collect();
    ResourcesStorage {
        total: disks.len() as u64,
        disks,
    }
}

fn disk(tree: &Tree, id: String, mounted: &HashSet<String>) -> ResourcesStorageDisk {
    let directory = format!("{BLOCKS}/{id}");
    let text = |file: &str| tree.text(format!("{directory}/{file}"));
    let number = |file: &str| tree.number(format!("{directory}/{file}")).unwrap_or(0);
    let place = tree.place(format!("{directory}/device"));
    let device = text("dev");
    let kind = if id.starts_with("nvme") {
        "nvme".to_owned()
    } else {
        tree.link(format!("{directory}/device/subsystem"))
    };
    let named = [text("wwid"), text("device/wwid")];
    ResourcesStorageDisk {
        model: text("device/model"),
        kind,
        read_only: number("ro") == 1,
        mounted: mounted.contains(&device),
        size: number("size") * SECTOR,
        removable: number("removable") == 1,
        wwn: named
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default(),
        numa_node: numa_node(tree, &place.pci),
        block_size: number("queue/physical_block_size"),
        firmware_version: text("device/firmware_rev"),
        rpm: number("queue/rotational"),
        serial: text("device/serial"),
        partitions: partitions(tree, &directory, mounted),
        pci_address: place.pci,
        usb_address: place.usb,
        device,
        id,
    }
}

fn partitions(
    tree: &Tree,
    directory: &str,
    mounted: &HashSet<String>,
) -> Vec<ResourcesStoragePartition> {
    let found = tree.names(directory).into_iter().filter_map(|id| {
        let partition = tree.number(format!("{directory}/{id}/partition"))?;
        let number = |file: &str| tree.number(format!("{directory}/{id}/{file}")).unwrap_or(0);
        let device = tree.text(format!("{directory}/{id}/dev"));
        Some(ResourcesStoragePartition {
            read_only: number("ro") == 1,
            size: number("size") * SECTOR,
            partition,
            mounted: mounted.contains(&device),
            device,
            id,
        })
    });
    found.collect()
}

/// Major and minor of all that is mounted, see proc_pid_mountinfo(5).
fn mounted(tree: &Tree) -> HashSet<String> {
    let text = tree.text("proc/self/mountinfo");
    let devices = text.lines().filter_map(|line| line.split(' ').nth(2));
    devices.map(str::to_owned).collect()
}
