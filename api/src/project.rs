//! Projects: `/1.0/projects`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::{ConfigMap, nullable};

/// The writable fields of a project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProjectPut {
    /// Configuration keys: `features.*`, `limits.*`, `restricted.*`.
    #[serde(deserialize_with = "nullable")]
    pub config: ConfigMap,
    /// Free text.
    pub description: String,
}

/// A project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Project {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ProjectPut,
    /// Name.
    pub name: String,
    /// URLs of what is in it.
    #[serde(deserialize_with = "nullable")]
    pub used_by: Vec<String>,
}

/// Body of `POST /1.0/projects`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProjectsPost {
    /// The writable fields.
    #[serde(flatten)]
    pub put: ProjectPut,
    /// Name.
    pub name: String,
}

/// Body of POST on a project: rename.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProjectPost {
    /// New name.
    pub name: String,
}

/// Use and limits of a project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProjectState {
    /// By resource: `cpu`, `disk`, `instances`, …
    #[serde(deserialize_with = "nullable")]
    pub resources: BTreeMap<String, ProjectStateResource>,
}

/// One resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ProjectStateResource {
    /// The limit; -1 without one.
    pub limit: i64,
    /// In use.
    pub usage: i64,
}
