//! Background operations: `/1.0/operations`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Requestor;
use crate::status_code::StatusCode;
use crate::wire::{Timestamp, nullable};

/// A piece of work that goes on after the reply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Operation {
    /// UUID.
    pub id: String,
    /// `task`, `websocket` or `token`.
    pub class: String,
    /// What it does, for people.
    pub description: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Text of `status_code`.
    pub status: String,
    /// Final from `Success` on.
    pub status_code: StatusCode,
    /// URLs of what it works on, by kind in the plural.
    #[serde(deserialize_with = "nullable")]
    pub resources: BTreeMap<String, Vec<String>>,
    /// Progress and results; `*_progress` is text for people.
    pub metadata: Option<BTreeMap<String, Value>>,
    /// Whether DELETE cancels it.
    pub may_cancel: bool,
    /// Why it did not succeed.
    pub err: String,
    /// Cluster member; `none` where there is no cluster.
    pub location: String,
    /// Who asked for it; nobody where the daemon did it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requestor: Option<Requestor>,
}

impl Operation {
    /// Whether it is over.
    pub fn is_final(&self) -> bool {
        self.status_code.is_final()
    }

    /// Its path, `/1.0/operations/{id}`.
    pub fn url(&self) -> String {
        format!("/1.0/operations/{}", self.id)
    }

    /// The first `*_progress` text of its metadata.
    pub fn progress(&self) -> Option<&str> {
        self.metadata
            .as_ref()?
            .iter()
            .find_map(|(key, value)| key.ends_with("_progress").then(|| value.as_str()).flatten())
    }
}
