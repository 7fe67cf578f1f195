//! Shapes that many resources share: maps, times, and Go's nulls.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Configuration keys and their values.
pub type ConfigMap = BTreeMap<String, String>;

/// Devices by name, each a map of keys with `type` among them.
pub type DevicesMap = BTreeMap<String, BTreeMap<String, String>>;

/// A time as RFC 3339 writes it, with its zone. Year 1 stands for "none", as in Go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Timestamp(pub String);

const NONE: &str = "0001-01-01T00:00:00Z";

impl Timestamp {
    /// No time.
    pub fn none() -> Self {
        Self(NONE.to_owned())
    }

    /// Whether it is no time; a time before 1970 (older clients send some) is none too.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
            || self.0.starts_with("0001-")
            || self.0.starts_with("1970-01-01T00:00:00")
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for Timestamp {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Reads `null` as the default: Go writes it for an empty list or map.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_time_is_none() {
        assert!(Timestamp::default().is_none());
        assert!(!Timestamp("2026-11-20T10:00:00Z".to_owned()).is_none());
    }
}
