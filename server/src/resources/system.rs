//! The machine, as its firmware describes it.

use rlxc_api::{
    ResourcesSystem, ResourcesSystemChassis, ResourcesSystemFirmware, ResourcesSystemMotherboard,
};

use super::tree::Tree;

pub(super) fn read(tree: &Tree) -> ResourcesSystem {
    let text = |file: &str| tree.text(format!("sys/class/dmi/id/{file}"));
    let firmware = ResourcesSystemFirmware {
        vendor: text("bios_vendor"),
        date: text("bios_date"),
        version: text("bios_version"),
    };
    let chassis = ResourcesSystemChassis {
        vendor: text("chassis_vendor"),
        kind: text("chassis_type"),
        serial: text("chassis_serial"),
        version: text("chassis_version"),
    };
    let motherboard = ResourcesSystemMotherboard {
        vendor: text("board_vendor"),
        product: text("board_name"),
        serial: text("board_serial"),
        version: text("board_version"),
    };
    ResourcesSystem {
        uuid: text("product_uuid"),
        vendor: text("sys_vendor"),
        product: text("product_name"),
        family: text("product_family"),
        version: text("product_version"),
        sku: text("product_sku"),
        serial: text("product_serial"),
        kind: kind(tree).to_owned(),
        firmware: Some(firmware).filter(|part| *part != ResourcesSystemFirmware::default()),
        chassis: Some(chassis).filter(|part| *part != ResourcesSystemChassis::default()),
        motherboard: Some(motherboard)
            .filter(|part| *part != ResourcesSystemMotherboard::default()),
    }
}

fn kind(tree: &Tree) -> &'static str {
    let cpuinfo = tree.text("proc/cpuinfo");
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    let guest = flags.is_some_and(|line| line.split(' ').any(|flag| flag == "hypervisor"));
    if tree.exists("run/systemd/container") {
        "container"
    } else if guest || tree.exists("sys/hypervisor/type") {
        "virtual-machine"
    } else {
        "physical"
    }
}
