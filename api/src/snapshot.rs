//! Snapshots of instances: `/1.0/instances/{name}/snapshots`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{ConfigMap, DevicesMap, Timestamp, nullable};

/// A snapshot: the instance as it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceSnapshot {
    /// Architecture.
    pub architecture: String,
    /// Configuration.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// When it was taken.
    pub created_at: Timestamp,
    /// Devices.
    #[serde(deserialize_with = "nullable")]
    pub devices: DevicesMap,
    /// Whether the instance was ephemeral.
    pub ephemeral: bool,
    /// Configuration with the profiles' applied.
    #[serde(deserialize_with = "nullable")]
    pub expanded_config: ConfigMap,
    /// Devices with the profiles' applied.
    #[serde(deserialize_with = "nullable")]
    pub expanded_devices: DevicesMap,
    /// When it is deleted; none for never.
    pub expires_at: Timestamp,
    /// When the instance was last started.
    pub last_used_at: Timestamp,
    /// Its own name, without the instance's.
    pub name: String,
    /// Profiles.
    #[serde(deserialize_with = "nullable")]
    pub profiles: Vec<String>,
    /// Whether it holds running state.
    pub stateful: bool,
    /// Bytes that are its own; -1 where that is not known.
    pub size: i64,
    /// Free text.
    pub description: String,
}

/// Body of `POST /1.0/instances/{name}/snapshots`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceSnapshotsPost {
    /// Name; the server picks one if it is empty.
    pub name: String,
    /// Save the running state too.
    pub stateful: bool,
    /// When to delete it; `None` leaves it to `snapshots.expiry`.
    pub expires_at: Option<Timestamp>,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Take the place of a snapshot of this name, which goes once the new one is there (`snapshot_reuse`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
}

/// Body of PUT and PATCH on a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceSnapshotPut {
    /// When to delete it; none for never.
    pub expires_at: Timestamp,
    /// Free text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// Body of POST on a snapshot: rename or migrate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceSnapshotPost {
    /// New name.
    pub name: String,
    /// Begin a migration to another server.
    pub migration: bool,
    /// Push migration: the target's websockets.
    pub target: Option<Value>,
    /// Migrate with its running state.
    pub live: bool,
}
