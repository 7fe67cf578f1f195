//! Profiles: `/1.0/profiles`.

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, DevicesMap, nullable};

/// The writable fields of a profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProfilePut {
    /// Configuration keys.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Free text.
    pub description: String,
    /// Devices.
    #[serde(deserialize_with = "nullable")]
    pub devices: DevicesMap,
}

/// A profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Profile {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ProfilePut,
    /// Name.
    pub name: String,
    /// URLs of instances that use it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
    /// Project that it belongs to.
    pub project: String,
}

/// Body of `POST /1.0/profiles`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProfilesPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ProfilePut,
    /// Name.
    pub name: String,
}

/// Body of POST on a profile: rename.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProfilePost {
    /// New name.
    pub name: String,
}
