//! DNS zones: `/1.0/network-zones`.

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, nullable};

/// The writable fields of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZonePut {
    /// Free text.
    pub description: String,
    /// Keys.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
}

/// A zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZone {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkZonePut,
    /// Name.
    pub name: String,
    /// URLs of networks that name it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
    /// Project.
    pub project: String,
}

/// Body of `POST /1.0/network-zones`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZonesPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkZonePut,
    /// Name.
    pub name: String,
}

/// One entry of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZoneRecordEntry {
    /// `A`, `TXT`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// How long others may remember it, in seconds; 300 if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub ttl: u64,
    /// As a zone file writes it.
    pub value: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The writable fields of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZoneRecordPut {
    /// Free text.
    pub description: String,
    /// Entries.
    #[serde(deserialize_with = "nullable")]
    pub entries: Vec<NetworkZoneRecordEntry>,
    /// Keys: `user.*`.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
}

/// A record of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZoneRecord {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkZoneRecordPut,
    /// Name, relative to the zone; `@` for the zone's own.
    pub name: String,
}

/// Body of POST to the records of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct NetworkZoneRecordsPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: NetworkZoneRecordPut,
    /// Name.
    pub name: String,
}
