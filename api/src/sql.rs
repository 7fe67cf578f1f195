//! Statements on the inventory itself: `/internal/sql`, as `lxd sql` and `incus admin sql` speak it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::nullable;

/// Body of POST on `/internal/sql`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SqlQuery {
    /// `global`, or `local`: one server has one database, which both name.
    pub database: String,
    /// Statements, a semicolon between two.
    pub query: String,
}

/// Answer of GET on `/internal/sql`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SqlDump {
    /// Statements that make the database, or only its tables, again.
    pub text: String,
}

/// Answer of POST on `/internal/sql`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, rename_all = "PascalCase")]
pub struct SqlBatch {
    /// One for each statement.
    #[serde(deserialize_with = "nullable")]
    pub results: Vec<SqlResult>,
}

/// What a statement did or found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SqlResult {
    /// `select` if it gives rows, else `exec`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Names of the columns.
    #[serde(deserialize_with = "nullable")]
    pub columns: Vec<String>,
    /// A value for each column.
    #[serde(deserialize_with = "nullable")]
    pub rows: Vec<Vec<Value>>,
    /// How many rows it changed.
    pub rows_affected: u64,
}
