//! What the host lacks: `/internal/doctor` (extension `host_doctor`).

use serde::{Deserialize, Serialize};

use crate::wire::nullable;

/// The findings on a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct DoctorReport {
    /// Findings, the worst first.
    #[serde(deserialize_with = "nullable")]
    pub findings: Vec<DoctorFinding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct DoctorFinding {
    /// Stable name, `cgroup-layout`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in a few words.
    pub title: String,
    /// What was seen.
    pub detail: String,
    /// What it costs.
    pub cost: String,
    /// How to mend it.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    #[default]
    Ok,
    /// Good to know.
    Notice,
    /// Something does not work, or slower.
    Warning,
    /// Instances can't run.
    Error,
}
