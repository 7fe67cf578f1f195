//! What the host is made of, read from `/sys` and `/proc` below a root that is given. Pure but for reading: what a file does
//! not say is left out, nothing is an error.

mod cpu;
mod devices;
mod disks;
mod ids;
mod memory;
mod system;
mod tree;

use std::path::Path;

use rlxc_api::{Resources, ResourcesLoad};

use ids::Ids;
use tree::Tree;

/// Reads everything; `root` is `/` but in tests.
pub fn read(root: &Path) -> Resources {
    let tree = Tree::new(root);
    let pci_ids = Ids::load(&tree, "pci.ids");
    Resources {
        cpu: cpu::read(&tree),
        memory: memory::read(&tree),
        gpu: devices::graphics(&tree, &pci_ids),
        network: devices::network(&tree, &pci_ids),
        storage: disks::read(&tree),
        usb: devices::usb(&tree),
        pci: devices::pci(&tree, &pci_ids),
        system: system::read(&tree),
        load: load(&tree),
    }
}

/// `0.20 0.18 0.12 1/80 11206`, see proc_loadavg(5).
fn load(tree: &Tree) -> ResourcesLoad {
    let text = tree.text("proc/loadavg");
    let words: Vec<&str> = text.split_whitespace().collect();
    let average = |at: usize| {
        let word = words.get(at);
        word.and_then(|word| word.parse().ok()).unwrap_or_default()
    };
    let threads = words.get(3).and_then(|word| word.split('/').nth(1));
    ResourcesLoad {
        average_1_min: average(0),
        average_5_min: average(1),
        average_10_min: average(2),
        processes: threads.and_then(|text| text.parse().ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
