//! Instances: `/1.0/instances` and `/1.0/instances/{name}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::backup::InstanceBackup;
use crate::instance_state::InstanceState;
use crate::snapshot::InstanceSnapshot;
use crate::status_code::StatusCode;
use crate::wire::{ConfigMap, DevicesMap, Timestamp, nullable};

/// The writable fields of an instance: the body of PUT and PATCH, and what an ETag is computed from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstancePut {
    /// Architecture as the kernel names it, `x86_64`.
    pub architecture: String,
    /// Configuration keys of the instance itself, without its profiles'.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Devices of the instance itself, without its profiles'.
    #[serde(deserialize_with = "nullable")]
    pub devices: DevicesMap,
    /// Deleted when it stops.
    pub ephemeral: bool,
    /// Profiles, in order of application. On creation `None` means `default`, and an empty list means none.
    pub profiles: Option<Vec<String>>,
    /// PUT only: name of the snapshot to go back to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restore: String,
    /// Whether its running state may be saved. With `restore`: restore that state too.
    pub stateful: bool,
    /// Free text.
    pub description: String,
}

/// An instance, as lists with `recursion=1` and GET give it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Instance {
    /// The writable fields.
    #[serde(flatten)]
    pub put: InstancePut,
    /// When it was created.
    pub created_at: Timestamp,
    /// Configuration with the profiles' applied.
    #[serde(deserialize_with = "nullable")]
    pub expanded_config: ConfigMap,
    /// Devices with the profiles' applied.
    #[serde(deserialize_with = "nullable")]
    pub expanded_devices: DevicesMap,
    /// Name, unique in its project.
    pub name: String,
    /// Text of `status_code`.
    pub status: String,
    /// `Running`, `Stopped`, `Frozen` or `Error`.
    pub status_code: StatusCode,
    /// When it was last started.
    pub last_used_at: Timestamp,
    /// Cluster member; `none` where there is no cluster.
    pub location: String,
    /// `container`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Project that it belongs to.
    pub project: String,
}

/// An instance with its state, snapshots and backups: `recursion=2`, or `recursion=1` on one instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceFull {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// Backups; `None` where there are none.
    pub backups: Option<Vec<InstanceBackup>>,
    /// State; `None` where it could not be had.
    pub state: Option<InstanceState>,
    /// Snapshots, oldest first; `None` where there are none.
    pub snapshots: Option<Vec<InstanceSnapshot>>,
}

/// Body of `POST /1.0/instances/{name}/rebuild`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceRebuildPost {
    /// Of what the root is made anew: `image`, or `none`.
    pub source: InstanceSource,
}

/// Body of `POST /1.0/instances`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstancesPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: InstancePut,
    /// Name; the server picks one if it is empty.
    pub name: String,
    /// What to create it from.
    pub source: InstanceSource,
    /// Size by name of a cloud's instance type, or `cCPU-mMEMORY`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance_type: String,
    /// `container`, or empty.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Start it once it is created (extension `instance_create_start`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub start: bool,
}

/// Where a new instance comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields are fixed by the API"
)]
pub struct InstanceSource {
    /// `image`, `copy`, `migration` or `none`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Certificate of a remote server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// `image`: alias of the image.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// `image`: fingerprint of the image, or a prefix of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
    /// `image`: the newest image with these properties.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub properties: BTreeMap<String, String>,
    /// `image`: address of a remote server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// `image`: secret of a private image of a remote server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
    /// `image`: `simplestreams`, `lxd`, `incus` or `oci`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// `migration`: fingerprint of the image that the source began with.
    #[serde(rename = "base-image", skip_serializing_if = "String::is_empty")]
    pub base_image: String,
    /// `pull` (the default), `push` or `relay`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// `migration`, `pull`: URL of the source's operation.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// `migration`: secrets of the source's websockets.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub secrets: BTreeMap<String, String>,
    /// `copy`: name of the instance, or `instance/snapshot`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// `migration`: with its running state.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// `copy`, `migration`: leave the snapshots.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub instance_only: bool,
    /// Old name of `instance_only`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub container_only: bool,
    /// `copy`, `migration`: bring an existing copy up to date.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refresh: bool,
    /// `copy`: project of the source.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// `migration`: the keys, and the names of the devices, that the user has chosen: these are refused if they make no sense
    /// here, while what merely comes along is left out then. Only servers of our kind ask for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<String>,
    /// `copy`: go on when files change while they are read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_inconsistent: bool,
}

/// Body of `POST /1.0/instances/{name}`: rename or move.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields are fixed by the API"
)]
pub struct InstancePost {
    /// New name.
    pub name: String,
    /// Begin a migration to another server.
    pub migration: bool,
    /// Migrate with its running state.
    pub live: bool,
    /// Leave the snapshots.
    pub instance_only: bool,
    /// Old name of `instance_only`.
    pub container_only: bool,
    /// Push migration: the target's websockets.
    pub target: Option<Value>,
    /// Pool to move to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// Project to move to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
    /// Go on when files change while they are read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_inconsistent: bool,
}

/// Body of `PUT /1.0/instances`: one change of state for all instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstancesPut {
    /// The change.
    pub state: Option<crate::instance_state::InstanceStatePut>,
}
