//! Aliases of images: `/1.0/images/aliases`.

use serde::{Deserialize, Serialize};

/// The writable fields of an alias.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageAliasesEntryPut {
    /// Free text.
    pub description: String,
    /// Fingerprint of the image.
    pub target: String,
}

/// An alias; the body of `POST /1.0/images/aliases` too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageAliasesEntry {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ImageAliasesEntryPut,
    /// Name; may hold `/`.
    pub name: String,
    /// `container`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Body of POST on an alias: rename.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ImageAliasesEntryPost {
    /// New name.
    pub name: String,
}
