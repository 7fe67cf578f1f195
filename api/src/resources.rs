//! What the host is made of: `/1.0/resources`.

use serde::{Deserialize, Serialize};

use crate::resources_card::{
    ResourcesGpu, ResourcesNetwork, ResourcesPci, ResourcesStorage, ResourcesUsb,
};
use crate::wire::nullable;

/// What the host is made of: `/1.0/resources`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}
