//! The guest API, `/dev/lxd/sock` and `/dev/incus/sock`: replies without an envelope.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// `GET /1.0`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestServer {
    /// `1.0`.
    pub api_version: String,
    /// `container`.
    pub instance_type: String,
    /// Member of the cluster; `none`.
    pub location: String,
    /// `Started` or `Ready`.
    pub state: String,
}

/// Body of `PATCH /1.0`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestPatch {
    /// `Started` or `Ready`.
    pub state: String,
}

/// A message of `GET /1.0/events`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestEvent {
    /// When.
    pub timestamp: Timestamp,
    /// `config` or `device`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `key`, `old_value` and `value`; or `action`, `name` and `config`.
    pub metadata: Value,
}
