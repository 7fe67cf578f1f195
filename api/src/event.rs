//! Events: the websocket of `/1.0/events`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{Timestamp, nullable};

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Event {
    /// `operation`, `lifecycle` or `logging`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: Timestamp,
    /// An [`crate::Operation`], [`EventLifecycle`] or [`EventLogging`].
    pub metadata: Value,
    /// Cluster member.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// Project; empty where it belongs to none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

/// Metadata of a lifecycle event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EventLifecycle {
    /// `instance-started`, `image-created`, …
    pub action: String,
    /// URL of the object.
    pub source: String,
    /// More, by kind of action.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub context: BTreeMap<String, Value>,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requestor: Option<Requestor>,
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Project of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub project: String,
}

/// Who asked for something.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Requestor {
    /// User name, or fingerprint of the certificate.
    pub username: String,
    /// `unix` or `tls`.
    pub protocol: String,
    /// Address of the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// Metadata of a logging event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EventLogging {
    /// The message.
    pub message: String,
    /// `error`, `warning`, `info` or `debug`.
    pub level: String,
    /// Fields.
    #[serde(deserialize_with = "nullable")]
    pub context: BTreeMap<String, String>,
}
