//! Cards, disks and devices among the [resources](crate::Resources) of the host.

use serde::{Deserialize, Serialize};

use crate::resources::is_zero;
use crate::wire::nullable;

/// Graphics cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesGpu {
    /// Cards.
    #[serde(deserialize_with = "nullable")]
    pub cards: Vec<ResourcesGpuCard>,
    /// How many.
    pub total: u64,
}

/// A graphics card.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesGpuCard {
    /// Kernel driver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver_version: String,
    /// Its devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drm: Option<ResourcesGpuDrm>,
    /// Nearest memory.
    pub numa_node: u64,
    /// Where it is on PCI.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pci_address: String,
    /// Where it is on USB.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub usb_address: String,
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Number of the maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor_id: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Number of the model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product_id: String,
}

/// Devices of a graphics card.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesGpuDrm {
    /// Number of the card.
    pub id: u64,
    /// Such as `card0`.
    pub card_name: String,
    /// Major and minor.
    pub card_device: String,
    /// Such as `renderD128`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub render_name: String,
    /// Major and minor.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub render_device: String,
}

/// Network cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesNetwork {
    /// Cards.
    #[serde(deserialize_with = "nullable")]
    pub cards: Vec<ResourcesNetworkCard>,
    /// How many.
    pub total: u64,
}

/// A network card.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesNetworkCard {
    /// Kernel driver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver_version: String,
    /// Its interfaces.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub ports: Vec<ResourcesNetworkPort>,
    /// Nearest memory.
    pub numa_node: u64,
    /// Where it is on PCI.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pci_address: String,
    /// Where it is on USB.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub usb_address: String,
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Number of the maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor_id: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Number of the model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product_id: String,
}

/// An interface of a network card.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesNetworkPort {
    /// Name of the interface.
    pub id: String,
    /// MAC address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Number on the card.
    pub port: u64,
    /// `ethernet`, `infiniband`, ….
    pub protocol: String,
    /// Whether both ends choose the speed.
    pub auto_negotiation: bool,
    /// Whether there is a carrier.
    pub link_detected: bool,
    /// Mbit/s.
    #[serde(skip_serializing_if = "is_zero")]
    pub link_speed: u64,
    /// `full` or `half`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub link_duplex: String,
}

/// Disks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStorage {
    /// Disks.
    #[serde(deserialize_with = "nullable")]
    pub disks: Vec<ResourcesStorageDisk>,
    /// How many.
    pub total: u64,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStorageDisk {
    /// Name of the block device.
    pub id: String,
    /// Major and minor.
    pub device: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// How it is connected: `nvme`, `scsi`, `virtio`, ….
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Whether it, not a partition, is mounted.
    pub mounted: bool,
    /// Bytes.
    pub size: u64,
    /// Whether it can be taken out.
    pub removable: bool,
    /// Its name in the world.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub wwn: String,
    /// Nearest memory.
    pub numa_node: u64,
    /// Bytes of a physical block.
    pub block_size: u64,
    /// Version of its firmware.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub firmware_version: String,
    /// 1 for what turns, 0 for what does not.
    pub rpm: u64,
    /// Serial number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Its partitions.
    #[serde(deserialize_with = "nullable")]
    pub partitions: Vec<ResourcesStoragePartition>,
    /// Where it is on PCI.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pci_address: String,
    /// Where it is on USB.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub usb_address: String,
}

/// A part of a disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesStoragePartition {
    /// Name of the block device.
    pub id: String,
    /// Major and minor.
    pub device: String,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// Bytes.
    pub size: u64,
    /// Number on the disk.
    pub partition: u64,
    /// Whether it is mounted.
    pub mounted: bool,
}

/// USB devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesUsb {
    /// Devices; hubs are left out.
    #[serde(deserialize_with = "nullable")]
    pub devices: Vec<ResourcesUsbDevice>,
    /// How many.
    pub total: u64,
}

/// A USB device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesUsbDevice {
    /// Number of the bus.
    pub bus_address: u64,
    /// Number on the bus.
    pub device_address: u64,
    /// What it can do.
    #[serde(deserialize_with = "nullable")]
    pub interfaces: Vec<ResourcesUsbInterface>,
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Number of the maker.
    pub vendor_id: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Number of the model.
    pub product_id: String,
    /// Mbit/s.
    pub speed: f64,
    /// Serial number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
}

/// Something that a USB device can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesUsbInterface {
    /// Class.
    pub class_id: u64,
    /// Kernel driver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Number on the device.
    pub number: u64,
    /// Subclass.
    pub subclass_id: u64,
}

/// PCI devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesPci {
    /// Devices.
    #[serde(deserialize_with = "nullable")]
    pub devices: Vec<ResourcesPciDevice>,
    /// How many.
    pub total: u64,
}

/// A PCI device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ResourcesPciDevice {
    /// Kernel driver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver_version: String,
    /// Nearest memory.
    pub numa_node: u64,
    /// Where it is.
    pub pci_address: String,
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Number of the maker.
    pub vendor_id: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Number of the model.
    pub product_id: String,
    /// Group of devices that can only be handed on together.
    pub iommu_group: u64,
}
