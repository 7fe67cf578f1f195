//! How results look.

mod table;
mod time;

use anyhow::Result;
use serde::Serialize;

pub(crate) use table::Table;
pub(crate) use time::{short as short_time, to_the_second as time_to_the_second};

/// JSON for programs, indented, with a newline at its end.
pub(crate) fn json<T: Serialize>(object: &T) -> Result<String> {
    Ok(serde_json::to_string_pretty(object)? + "\n")
}

/// YAML for people and `edit`.
pub(crate) fn yaml<T: Serialize>(object: &T) -> Result<String> {
    Ok(serde_norway::to_string(object)?)
}

/// `yes` or `no`.
pub(crate) fn yes(value: bool) -> String {
    if value { "YES" } else { "NO" }.to_owned()
}

/// A number of bytes for people; empty for none.
pub(crate) fn bytes(count: i64) -> String {
    match u64::try_from(count) {
        Ok(count) if count > 0 => rlxc_api::size::ByteSize(count).human(),
        _ => String::new(),
    }
}
