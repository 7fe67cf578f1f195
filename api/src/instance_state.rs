//! State of an instance: `/1.0/instances/{name}/state`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::status_code::StatusCode;
use crate::wire::{Timestamp, nullable};

/// What an instance is doing and using.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceState {
    /// Text of `status_code`.
    pub status: String,
    /// `Running`, `Stopped`, `Frozen` or `Error`.
    pub status_code: StatusCode,
    /// Usage by disk device.
    #[serde(deserialize_with = "nullable")]
    pub disk: BTreeMap<String, InstanceStateDisk>,
    /// Memory.
    pub memory: InstanceStateMemory,
    /// Interfaces by their name inside.
    #[serde(deserialize_with = "nullable")]
    pub network: BTreeMap<String, InstanceStateNetwork>,
    /// Process id of its init on the host; 0 where it is stopped.
    pub pid: i64,
    /// How many processes it has; -1 where that is not known.
    pub processes: i64,
    /// Processor time.
    pub cpu: InstanceStateCpu,
    /// When it was started.
    pub started_at: Timestamp,
}

/// Space that a disk device takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStateDisk {
    /// Bytes used.
    pub usage: i64,
    /// Bytes of its quota; 0 without one.
    pub total: i64,
}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStateCpu {
    /// Nanoseconds.
    pub usage: i64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStateMemory {
    /// In use.
    pub usage: i64,
    /// The most that was ever in use; 0 where the kernel does not tell.
    pub usage_peak: i64,
    /// Swap in use.
    pub swap_usage: i64,
    /// The most swap that was ever in use.
    pub swap_usage_peak: i64,
    /// The limit; 0 without one.
    pub total: i64,
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStateNetwork {
    /// Addresses.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<InstanceStateNetworkAddress>,
    /// Traffic.
    pub counters: InstanceStateNetworkCounters,
    /// MAC address.
    pub hwaddr: String,
    /// Name of the other end on the host.
    pub host_name: String,
    /// Largest packet, in bytes.
    pub mtu: i64,
    /// `up` or `down`.
    pub state: String,
    /// `broadcast`, `loopback`, `point-to-point`, …
    #[serde(rename = "type")]
    pub kind: String,
}

/// One address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStateNetworkAddress {
    /// `inet` or `inet6`.
    pub family: String,
    /// The address, without its prefix length.
    pub address: String,
    /// Prefix length, in decimal.
    pub netmask: String,
    /// `local`, `link` or `global`.
    pub scope: String,
}

/// Traffic as the instance sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStateNetworkCounters {
    /// Bytes in.
    pub bytes_received: i64,
    /// Bytes out.
    pub bytes_sent: i64,
    /// Packets in.
    pub packets_received: i64,
    /// Packets out.
    pub packets_sent: i64,
    /// Errors in.
    pub errors_received: i64,
    /// Errors out.
    pub errors_sent: i64,
    /// Packets dropped on the way out.
    pub packets_dropped_outbound: i64,
    /// Packets dropped on the way in.
    pub packets_dropped_inbound: i64,
}

/// Body of `PUT /1.0/instances/{name}/state`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceStatePut {
    /// `start`, `stop`, `restart`, `freeze` or `unfreeze`.
    pub action: String,
    /// Seconds to wait for a clean stop; -1 for ever, 0 the server's own.
    pub timeout: i64,
    /// Kill instead of asking init.
    pub force: bool,
    /// Save or load the running state.
    pub stateful: bool,
}
