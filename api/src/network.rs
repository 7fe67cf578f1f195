//! Networks: `/1.0/networks`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{ConfigMap, nullable};

/// The writable fields of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkPut {
    /// Configuration keys.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Free text.
    pub description: String,
}

/// A network, managed or an interface of the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Network {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkPut,
    /// Name of the network and of its interface.
    pub name: String,
    /// `bridge`, `macvlan`, `physical`, `loopback`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// URLs of instances and profiles that use it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
    /// Whether we made it.
    pub managed: bool,
    /// `Created`, `Pending` or `Errored`; empty where it is not managed.
    pub status: String,
    /// Cluster members that have it.
    #[serde(deserialize_with = "nullable")]
    pub locations: Vec<String>,
    /// Project that it belongs to.
    pub project: String,
}

/// Body of `POST /1.0/networks`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworksPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkPut,
    /// Name.
    pub name: String,
    /// Type; empty is `bridge`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Body of POST on a network: rename.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkPost {
    /// New name.
    pub name: String,
}

/// An address that is given out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkLease {
    /// Name of the instance.
    pub hostname: String,
    /// MAC address.
    pub hwaddr: String,
    /// The address.
    pub address: String,
    /// `static`, `dynamic`, `gateway` or `uplink`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Cluster member.
    pub location: String,
}

/// What the kernel says of the interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkState {
    /// Addresses.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<NetworkStateAddress>,
    /// Traffic.
    pub counters: Option<NetworkStateCounters>,
    /// MAC address.
    pub hwaddr: String,
    /// Largest packet, in bytes.
    pub mtu: i64,
    /// `up` or `down`.
    pub state: String,
    /// `broadcast`, `loopback`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is a bond.
    pub bond: Option<Value>,
    /// Where it is a bridge.
    pub bridge: Option<NetworkStateBridge>,
    /// Where it is a VLAN.
    pub vlan: Option<NetworkStateVlan>,
    /// Where it is of OVN.
    pub ovn: Option<Value>,
}

/// One address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkStateAddress {
    /// `inet` or `inet6`.
    pub family: String,
    /// The address, without its prefix length.
    pub address: String,
    /// Prefix length, in decimal.
    pub netmask: String,
    /// `local`, `link` or `global`.
    pub scope: String,
}

/// Traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkStateCounters {
    /// Bytes in.
    pub bytes_received: i64,
    /// Bytes out.
    pub bytes_sent: i64,
    /// Packets in.
    pub packets_received: i64,
    /// Packets out.
    pub packets_sent: i64,
}

/// State of a bridge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkStateBridge {
    /// Bridge id, as 802.1D writes it.
    pub id: String,
    /// Whether the spanning tree protocol runs.
    pub stp: bool,
    /// Hundredths of a second.
    pub forward_delay: u64,
    /// Default VLAN of its ports.
    pub vlan_default: u64,
    /// Whether it filters by VLAN.
    pub vlan_filtering: bool,
    /// Its ports.
    #[serde(deserialize_with = "nullable")]
    pub upper_devices: Vec<String>,
}

/// State of a VLAN interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkStateVlan {
    /// Interface below.
    pub lower_device: String,
    /// VLAN id.
    pub vid: u64,
}
