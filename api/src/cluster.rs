//! The cluster that a server is in: `/1.0/cluster`. There is none yet, and clients ask whether there is.

use serde::{Deserialize, Serialize};

use crate::wire::nullable;

/// A server's place in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Cluster {
    /// Its name there.
    pub server_name: String,
    /// Whether it is in one.
    pub enabled: bool,
    /// Keys that a server must set to join.
    #[serde(deserialize_with = "nullable")]
    pub member_config: Vec<serde_json::Value>,
}
