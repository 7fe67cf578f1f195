//! What can be configured: `/1.0/metadata/configuration`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All configuration keys: by kind of resource, then by group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct MetadataConfiguration {
    /// `instance`, `network-bridge`, `device-disk`, …
    pub configs: BTreeMap<String, BTreeMap<String, MetadataConfigurationGroup>>,
}

/// Keys under one heading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct MetadataConfigurationGroup {
    /// One map for each key, with its name as the only entry.
    pub keys: Vec<BTreeMap<String, MetadataConfigurationKey>>,
}

/// A configuration key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct MetadataConfigurationKey {
    /// What must be so for it to mean anything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// What holds where it is not set.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub defaultdesc: String,
    /// `yes` where a change has its effect at once.
    pub liveupdate: String,
    /// What may be written.
    pub longdesc: String,
    /// `global`: for all members of a cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// What it does.
    pub shortdesc: String,
    /// `bool`, `integer` or `string`.
    #[serde(rename = "type")]
    pub kind: String,
}
