//! Access control lists: `/1.0/network-acls`.

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, nullable};

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkAclRule {
    /// `allow`, `reject` or `drop`.
    pub action: String,
    /// Senders: addresses, subnets and ranges, joined by commas; all if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Receivers, written the same way.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// `tcp`, `udp`, `icmp4`, `icmp6`; all if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// The sender's ports and ranges of ports, joined by commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source_port: String,
    /// The receiver's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_port: String,
    /// A number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icmp_type: String,
    /// A number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icmp_code: String,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// `enabled`, `disabled` or `logged`.
    pub state: String,
}

/// The writable fields of an ACL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkAclPut {
    /// Free text.
    pub description: String,
    /// For what instances send.
    #[serde(deserialize_with = "nullable")]
    pub egress: Vec<NetworkAclRule>,
    /// For what instances receive.
    #[serde(deserialize_with = "nullable")]
    pub ingress: Vec<NetworkAclRule>,
    /// Keys: `user.*`.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
}

/// An ACL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkAcl {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkAclPut,
    /// Name.
    pub name: String,
    /// URLs of networks, instances and profiles that name it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
    /// Project.
    pub project: String,
}

/// Body of `POST /1.0/network-acls`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkAclsPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkAclPut,
    /// Name.
    pub name: String,
}

/// Body of POST on an ACL: rename.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkAclPost {
    /// New name.
    pub name: String,
}
