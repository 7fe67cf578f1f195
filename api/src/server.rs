//! The server: `/1.0`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, nullable};

/// The writable fields of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServerPut {
    /// Configuration keys.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
}

/// What clients see that are not trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServerUntrusted {
    /// Extensions of the API that are there.
    #[serde(deserialize_with = "nullable")]
    pub api_extensions: Vec<String>,
    /// `stable`.
    pub api_status: String,
    /// `1.0`.
    pub api_version: String,
    /// `trusted` or `untrusted`.
    pub auth: String,
    /// Whether it is only an image server.
    pub public: bool,
    /// `tls`.
    #[serde(deserialize_with = "nullable")]
    pub auth_methods: Vec<String>,
}

/// What trusted clients see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Server {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ServerPut,
    /// What all clients see.
    #[serde(flatten)]
    pub untrusted: ServerUntrusted,
    /// Who we are taken for.
    pub auth_user_name: String,
    /// `unix` or `tls`.
    pub auth_user_method: String,
    /// The host.
    pub environment: ServerEnvironment,
}

/// The host and the server on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServerEnvironment {
    /// Where it listens for remote clients.
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<String>,
    /// Architectures that instances may have.
    #[serde(deserialize_with = "nullable")]
    pub architectures: Vec<String>,
    /// PEM.
    pub certificate: String,
    /// SHA-256 of the DER, in hexadecimal.
    pub certificate_fingerprint: String,
    /// What runs instances.
    pub driver: String,
    /// Its version.
    pub driver_version: String,
    /// `nftables`.
    pub firewall: String,
    /// `Linux`.
    pub kernel: String,
    /// `x86_64`, …
    pub kernel_architecture: String,
    /// What the kernel can do; `true` or `false` by name.
    #[serde(deserialize_with = "nullable")]
    pub kernel_features: BTreeMap<String, String>,
    /// Release of the kernel.
    pub kernel_version: String,
    /// For clients that ask for it; `true` or `false` by name.
    #[serde(deserialize_with = "nullable")]
    pub lxc_features: BTreeMap<String, String>,
    /// Name of the distribution.
    pub os_name: String,
    /// Its version.
    pub os_version: String,
    /// Project of the request.
    pub project: String,
    /// `rlxc`.
    pub server: String,
    /// Whether it is in a cluster.
    pub server_clustered: bool,
    /// `full-mesh`.
    pub server_event_mode: String,
    /// Host name.
    pub server_name: String,
    /// Process id of the daemon.
    pub server_pid: i64,
    /// Version of the daemon.
    pub server_version: String,
    /// Drivers in use, separated by bars; empty before the first pool.
    pub storage: String,
    /// Their versions, separated by bars.
    pub storage_version: String,
    /// Drivers that could be used.
    #[serde(deserialize_with = "nullable")]
    pub storage_supported_drivers: Vec<ServerStorageDriverInfo>,
}

/// A storage driver.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ServerStorageDriverInfo {
    /// Name.
    #[serde(rename = "Name")]
    pub name: String,
    /// Version.
    #[serde(rename = "Version")]
    pub version: String,
    /// Whether its pools are shared by hosts.
    #[serde(rename = "Remote")]
    pub remote: bool,
}
