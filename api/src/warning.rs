//! Warnings: `/1.0/warnings`.

use serde::{Deserialize, Serialize};

use crate::wire::Timestamp;

/// Something that an administrator should know.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Warning {
    /// UUID.
    pub uuid: String,
    /// Cluster member.
    pub location: String,
    /// Project; empty where it belongs to none.
    pub project: String,
    /// What it is, in a few words.
    #[serde(rename = "type")]
    pub kind: String,
    /// How often it was seen.
    pub count: i64,
    /// When it was first seen.
    pub first_seen_at: Timestamp,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
    /// The last message.
    pub last_message: String,
    /// `low`, `moderate` or `high`.
    pub severity: String,
    /// URL of the object.
    pub entity_url: String,
    /// `new`, `acknowledged` or `resolved`.
    pub status: String,
}

/// Body of PUT and PATCH on a warning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct WarningPut {
    /// `new` or `acknowledged`.
    pub status: String,
}
