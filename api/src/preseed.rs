//! All that a new server needs at once: `rlxc admin init --preseed`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::certificate::CertificatesPost;
use crate::network::NetworksPost;
use crate::profile::ProfilesPost;
use crate::project::ProjectsPost;
use crate::storage_pool::StoragePoolsPost;
use crate::storage_volume::StorageVolumesPost;
use crate::wire::{ConfigMap, nullable};

/// The preseed: the same objects as the API's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitPreseed {
    /// Server configuration.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub config: ConfigMap,
    /// Networks.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub networks: Vec<InitNetworksProjectPost>,
    /// Storage pools.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub storage_pools: Vec<StoragePoolsPost>,
    /// Custom volumes.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub storage_volumes: Vec<InitStorageVolumesProjectPost>,
    /// Profiles.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub profiles: Vec<InitProfileProjectPost>,
    /// Projects.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub projects: Vec<ProjectsPost>,
    /// Trusted certificates.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub certificates: Vec<CertificatesPost>,
}

/// A network and the project that it goes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitNetworksProjectPost {
    /// The network.
    #[serde(flatten)]
    pub network: NetworksPost,
    /// Project; empty is `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

/// A custom volume, its pool and project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitStorageVolumesProjectPost {
    /// The volume.
    #[serde(flatten)]
    pub volume: StorageVolumesPost,
    /// Pool.
    pub pool: String,
    /// Project; empty is `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

/// A profile and the project that it goes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InitProfileProjectPost {
    /// The profile.
    #[serde(flatten)]
    pub profile: ProfilesPost,
    /// Project; empty is `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}
