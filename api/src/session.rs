//! Exec and console: `/1.0/instances/{name}/exec` and `console`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::nullable;

/// Body of `POST /1.0/instances/{name}/exec`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceExecPost {
    /// Program and arguments.
    #[serde(deserialize_with = "nullable")]
    pub command: Vec<String>,
    /// Wait for websockets that carry its streams.
    #[serde(rename = "wait-for-websocket")]
    pub wait_for_websocket: bool,
    /// Give it a terminal.
    pub interactive: bool,
    /// Variables over the default ones.
    #[serde(deserialize_with = "nullable")]
    pub environment: BTreeMap<String, String>,
    /// Columns of the terminal; 0 is the server's own.
    pub width: u16,
    /// Rows of the terminal.
    pub height: u16,
    /// Keep stdout and stderr as log files.
    #[serde(rename = "record-output")]
    pub record_output: bool,
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
    /// Working directory; empty is the user's home.
    pub cwd: String,
}

/// A message on the `control` websocket of exec and console.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceExecControl {
    /// `window-resize` or `signal`.
    pub command: String,
    /// `window-resize`: `width` and `height`, in decimal.
    #[serde(deserialize_with = "nullable")]
    pub args: BTreeMap<String, String>,
    /// `signal`: its number.
    pub signal: i32,
}

/// Body of `POST /1.0/instances/{name}/console`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct InstanceConsolePost {
    /// Columns of the terminal.
    pub width: u16,
    /// Rows of the terminal.
    pub height: u16,
    /// `console`, or empty.
    #[serde(rename = "type")]
    pub kind: String,
    /// Take the console over from whom has it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Metadata of the operation of an exec or a console.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ExecMetadata {
    /// Secrets of the websockets by name: `0`, `1`, `2` and `control`.
    #[serde(deserialize_with = "nullable")]
    pub fds: BTreeMap<String, String>,
    /// Program and arguments.
    #[serde(deserialize_with = "nullable")]
    pub command: Vec<String>,
    /// Its whole environment.
    #[serde(deserialize_with = "nullable")]
    pub environment: BTreeMap<String, String>,
    /// Whether it has a terminal.
    pub interactive: bool,
    /// How it ended: its exit code, or 128 and the signal's number.
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// URLs of the recorded streams by number.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub output: BTreeMap<String, String>,
}
