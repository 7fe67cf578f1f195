//! Forwards of a network, `/1.0/networks/{name}/forwards`, and what addresses are in use, `/1.0/network-allocations`.

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, nullable};

/// Ports that are passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkForwardPort {
    /// Free text.
    pub description: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Ports and ranges of ports, joined by commas.
    pub listen_port: String,
    /// As many, or one for all; the same if empty.
    pub target_port: String,
    /// Address of an instance.
    pub target_address: String,
}

/// The writable fields of a forward.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkForwardPut {
    /// Free text.
    pub description: String,
    /// Keys: `target_address` for all that no port speaks of, `user.*`.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<NetworkForwardPort>,
}

/// A forward.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkForward {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkForwardPut,
    /// The address that is listened on.
    pub listen_address: String,
    /// Cluster member.
    pub location: String,
}

/// Body of POST: a new forward.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkForwardsPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkForwardPut,
    /// The address that is listened on.
    pub listen_address: String,
}

/// An address that is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkAllocation {
    /// Address and length of the prefix.
    pub addresses: String,
    /// URL of what has it.
    pub used_by: String,
    /// `network`, `instance`, `network-forward`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether what it sends elsewhere gets the host's address.
    pub nat: bool,
    /// MAC address.
    pub hwaddr: String,
    /// Network.
    pub network: String,
}
