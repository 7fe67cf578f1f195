//! What an image says of itself: `metadata.yaml`, and `/1.0/instances/{name}/metadata`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::nullable;

/// The content of `metadata.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageMetadata {
    /// Architecture as the kernel names it, `x86_64`.
    pub architecture: String,
    /// Seconds since 1970.
    pub creation_date: i64,
    /// Seconds since 1970; 0 for never.
    pub expiry_date: i64,
    /// `os`, `release`, `description`, …
    #[serde(deserialize_with = "nullable")]
    pub properties: BTreeMap<String, String>,
    /// Files to render, by path inside the instance.
    #[serde(deserialize_with = "nullable")]
    pub templates: BTreeMap<String, ImageMetadataTemplate>,
}

/// A file that is rendered from a template.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageMetadataTemplate {
    /// `create`, `copy`, `rename` and `start`.
    #[serde(deserialize_with = "nullable")]
    pub when: Vec<String>,
    /// Leave the file alone if it exists.
    pub create_only: bool,
    /// File name in `templates/`.
    pub template: String,
    /// Variables for the template.
    #[serde(deserialize_with = "nullable")]
    pub properties: BTreeMap<String, String>,
    /// Owner; empty for root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Group; empty for root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gid: String,
    /// Mode, octal; empty for 0644.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}
