//! What the host is made of: `/1.0/resources`.

use serde::{Deserialize, Serialize};

use crate::wire::nullable;

/// What the host is made of: `/1.0/resources`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Processors.
    pub cpu: ResourcesCpu,
    /// Memory.
    pub memory: ResourcesMemory,
    /// Graphics cards.
    pub gpu: ResourcesGpu,
    /// Network cards.
    pub network: ResourcesNetwork,
    /// Disks.
    pub storage: ResourcesStorage,
    /// USB devices.
    pub usb: ResourcesUsb,
    /// PCI devices.
    pub pci: ResourcesPci,
    /// The machine.
    pub system: ResourcesSystem,
    /// How busy it is.
    pub load: ResourcesLoad,
}

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesCpu {
    /// As uname(2) says.
    pub architecture: String,
    /// Packages.
    #[serde(deserialize_with = "nullable")]
    pub sockets: Vec<ResourcesCpuSocket>,
    /// Threads.
    pub total: u64,
}

/// A package of cores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesCpuSocket {
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Number of the package.
    pub socket: u64,
    /// Caches of one core.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub cache: Vec<ResourcesCpuCache>,
    /// Cores.
    #[serde(deserialize_with = "nullable")]
    pub cores: Vec<ResourcesCpuCore>,
    /// MHz now, over its cores.
    #[serde(skip_serializing_if = "is_zero")]
    pub frequency: u64,
    /// Lowest MHz.
    #[serde(skip_serializing_if = "is_zero")]
    pub frequency_minimum: u64,
    /// Highest MHz.
    #[serde(skip_serializing_if = "is_zero")]
    pub frequency_turbo: u64,
}

/// A cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesCpuCache {
    /// 1 is next to the core.
    pub level: u64,
    /// `Data`, `Instruction` or `Unified`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes.
    pub size: u64,
}

/// A core.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesCpuCore {
    /// Number in its package.
    pub core: u64,
    /// Number of the die.
    pub die: u64,
    /// Its threads.
    #[serde(deserialize_with = "nullable")]
    pub threads: Vec<ResourcesCpuThread>,
    /// MHz now.
    #[serde(skip_serializing_if = "is_zero")]
    pub frequency: u64,
}

/// A thread: what the scheduler calls a processor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesCpuThread {
    /// Number of the processor.
    pub id: i64,
    /// Its memory.
    pub numa_node: u64,
    /// Number in its core.
    pub thread: u64,
    /// Whether it is used.
    pub online: bool,
    /// Whether the scheduler leaves it alone.
    pub isolated: bool,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesMemory {
    /// By NUMA node.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub nodes: Vec<ResourcesMemoryNode>,
    /// Bytes.
    pub hugepages_total: u64,
    /// Bytes.
    pub hugepages_used: u64,
    /// Bytes of one.
    pub hugepages_size: u64,
    /// Bytes.
    pub used: u64,
    /// Bytes.
    pub total: u64,
}

/// Memory of a NUMA node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesMemoryNode {
    /// Number.
    pub numa_node: u64,
    /// Bytes.
    pub hugepages_used: u64,
    /// Bytes.
    pub hugepages_total: u64,
    /// Bytes.
    pub used: u64,
    /// Bytes.
    pub total: u64,
}

/// Graphics cards.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesSystem {
    /// Its id.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Family of models.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Number in the maker's list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sku: String,
    /// Serial number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// `physical`, `virtual-machine` or `container`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<ResourcesSystemFirmware>,
    /// Chassis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chassis: Option<ResourcesSystemChassis>,
    /// Board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motherboard: Option<ResourcesSystemMotherboard>,
}

/// Firmware of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesSystemFirmware {
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// When it was made.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// Chassis of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesSystemChassis {
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Number of its kind, see the SMBIOS specification.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Serial number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// Board of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesSystemMotherboard {
    /// Maker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vendor: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub product: String,
    /// Serial number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// How busy the host is, see proc_loadavg(5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourcesLoad {
    /// Over a minute.
    #[serde(rename = "Average1Min")]
    pub average_1_min: f64,
    /// Over five minutes.
    #[serde(rename = "Average5Min")]
    pub average_5_min: f64,
    /// Over the longest time that the kernel counts.
    #[serde(rename = "Average10Min")]
    pub average_10_min: f64,
    /// Threads that there are.
    #[serde(rename = "Processes")]
    pub processes: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
