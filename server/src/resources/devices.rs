//! Devices on buses: PCI, USB, network and graphics cards.

use rlxc_api::{
    ResourcesGpu, ResourcesGpuCard, ResourcesGpuDrm, ResourcesNetwork, ResourcesNetworkCard,
    ResourcesNetworkPort, ResourcesPci, ResourcesPciDevice, ResourcesUsb, ResourcesUsbDevice,
    ResourcesUsbInterface,
};

use super::ids::Ids;
use super::tree::Tree;

const PCI: &str = "sys/bus/pci/devices";
const USB: &str = "sys/bus/usb/devices";
const NET: &str = "sys/class/net";
const DRM: &str = "sys/class/drm";
/// The class of hubs, of the USB specification.
const HUB: u64 = 9;

pub(super) fn pci(tree: &Tree, ids: &Ids) -> ResourcesPci {
    let addresses = tree.names(PCI);
    let devices: Vec<_> = addresses
        .iter()
        .map(|address| pci_device(tree, ids, address))
        .collect();
    ResourcesPci {
        total: devices.len() as u64,
        devices,
    }
}

fn pci_device(tree: &Tree, ids: &Ids, address: &str) -> ResourcesPciDevice {
    let directory = format!("{PCI}/{address}");
    let id = |file: &str| {
        let number = tree.hex(format!("{directory}/{file}"));
        number.map_or_else(String::new, |number| format!("{number:04x}"))
    };
    let (vendor_id, product_id) = (id("vendor"), id("device"));
    let (vendor, product) = ids.names(&vendor_id, &product_id);
    let driver = tree.link(format!("{directory}/driver"));
    ResourcesPciDevice {
        driver_version: driver_version(tree, &driver),
        driver,
        numa_node: numa_node(tree, address),
        pci_address: address.to_owned(),
        vendor,
        vendor_id,
        product,
        product_id,
        iommu_group: tree
            .link(format!("{directory}/iommu_group"))
            .parse()
            .unwrap_or(0),
    }
}

/// The version that a module says, or the kernel's.
fn driver_version(tree: &Tree, driver: &str) -> String {
    if driver.is_empty() {
        return String::new();
    }
    let own = tree.text(format!("sys/module/{driver}/version"));
    if own.is_empty() {
        tree.text("proc/sys/kernel/osrelease")
    } else {
        own
    }
}

/// The memory nearest to a PCI device; -1 is nowhere in particular.
pub(super) fn numa_node(tree: &Tree, address: &str) -> u64 {
    tree.number(format!("{PCI}/{address}/numa_node"))
        .unwrap_or(0)
}

pub(super) fn usb(tree: &Tree) -> ResourcesUsb {
    let devices: Vec<_> = tree
        .names(USB)
        .iter()
        .filter_map(|name| usb_device(tree, name))
        .collect();
    ResourcesUsb {
        total: devices.len() as u64,
        devices,
    }
}

/// Nothing for hubs and interfaces.
fn usb_device(tree: &Tree, name: &str) -> Option<ResourcesUsbDevice> {
    let directory = format!("{USB}/{name}");
    let text = |file: &str| tree.text(format!("{directory}/{file}"));
    let bus_address = tree.number(format!("{directory}/busnum"))?;
    if tree.hex(format!("{directory}/bDeviceClass"))? == HUB {
        return None;
    }
    let interfaces = tree.names(&directory).into_iter().filter_map(|part| {
        let hex = |file: &str| tree.hex(format!("{directory}/{part}/{file}"));
        Some(ResourcesUsbInterface {
            number: hex("bInterfaceNumber")?,
            class_id: hex("bInterfaceClass").unwrap_or(0),
            subclass_id: hex("bInterfaceSubClass").unwrap_or(0),
            driver: tree.link(format!("{directory}/{part}/driver")),
        })
    });
    Some(ResourcesUsbDevice {
        bus_address,
        device_address: tree.number(format!("{directory}/devnum")).unwrap_or(0),
        interfaces: interfaces.collect(),
        vendor: text("manufacturer"),
        vendor_id: text("idVendor"),
        product: text("product"),
        product_id: text("idProduct"),
        speed: text("speed").parse().unwrap_or(0.0),
        serial: text("serial"),
    })
}

pub(super) fn network(tree: &Tree, ids: &Ids) -> ResourcesNetwork {
    let mut cards: Vec<ResourcesNetworkCard> = Vec::new();
    for name in tree.names(NET) {
        let device = format!("{NET}/{name}/device");
        if !tree.exists(&device) {
            continue;
        }
        let place = tree.place(&device);
        let same = |card: &&mut ResourcesNetworkCard| {
            !place.pci.is_empty() && card.pci_address == place.pci && card.usb_address == place.usb
        };
        let port = port(tree, &name);
        if let Some(card) = cards.iter_mut().find(same) {
            card.ports.push(port);
            continue;
        }
        let pci = pci_device(tree, ids, &place.pci);
        let driver = tree.link(format!("{device}/driver"));
        cards.push(ResourcesNetworkCard {
            driver_version: driver_version(tree, &driver),
            driver,
            ports: vec![port],
            numa_node: pci.numa_node,
            pci_address: place.pci,
            usb_address: place.usb,
            vendor: pci.vendor,
            vendor_id: pci.vendor_id,
            product: pci.product,
            product_id: pci.product_id,
        });
    }
    ResourcesNetwork {
        total: cards.len() as u64,
        cards,
    }
}

fn port(tree: &Tree, name: &str) -> ResourcesNetworkPort {
    let directory = format!("{NET}/{name}");
    let text = |file: &str| tree.text(format!("{directory}/{file}"));
    // Types of hardware, see include/uapi/linux/if_arp.h.
    let protocol = match tree.number(format!("{directory}/type")) {
        Some(1) => "ethernet",
        Some(32) => "infiniband",
        _ => "unknown",
    };
    let duplex = text("duplex");
    ResourcesNetworkPort {
        id: name.to_owned(),
        address: text("address"),
        port: tree.number(format!("{directory}/dev_port")).unwrap_or(0),
        protocol: protocol.to_owned(),
        auto_negotiation: false,
        link_detected: text("carrier") == "1",
        // -1 where there is no link.
        link_speed: tree.number(format!("{directory}/speed")).unwrap_or(0),
        link_duplex: if duplex == "unknown" {
            String::new()
        } else {
            duplex
        },
    }
}

pub(super) fn graphics(tree: &Tree, ids: &Ids) -> ResourcesGpu {
    let cards: Vec<_> = tree
        .numbered(DRM, "card")
        .into_iter()
        .filter(|(name, _)| tree.exists(format!("{DRM}/{name}/device")))
        .map(|(name, id)| graphics_card(tree, ids, name, id))
        .collect();
    ResourcesGpu {
        total: cards.len() as u64,
        cards,
    }
}

fn graphics_card(tree: &Tree, ids: &Ids, name: String, id: u64) -> ResourcesGpuCard {
    let device = format!("{DRM}/{name}/device");
    let place = tree.place(&device);
    let pci = pci_device(tree, ids, &place.pci);
    let render = tree.numbered(&format!("{device}/drm"), "renderD");
    let render_name = render
        .first()
        .map_or_else(String::new, |(name, _)| name.clone());
    ResourcesGpuCard {
        driver: pci.driver,
        driver_version: pci.driver_version,
        drm: Some(ResourcesGpuDrm {
            id,
            card_device: tree.text(format!("{DRM}/{name}/dev")),
            card_name: name,
            render_device: tree.text(format!("{DRM}/{render_name}/dev")),
            render_name,
        }),
        numa_node: pci.numa_node,
        pci_address: place.pci,
        usb_address: place.usb,
        vendor: pci.vendor,
        vendor_id: pci.vendor_id,
        product: pci.product,
        product_id: pci.product_id,
    }
}
