//! What the rows of snapshots are made of.

use super::wire::Pair;
use crate::clock;
use crate::model::Config;

/// Keys as they are sent.
pub(crate) fn pairs(config: &Config) -> Vec<Pair> {
    config
        .iter()
        .map(|(key, value)| Pair {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// Keys that were sent.
pub(crate) fn config(pairs: Vec<Pair>) -> Config {
    pairs
        .into_iter()
        .map(|pair| (pair.key, pair.value))
        .collect()
}

/// A time as it is sent: seconds since 1970.
pub(crate) fn seconds(time: &str) -> Option<i64> {
    time.parse().ok().map(jiff::Timestamp::as_second)
}

/// A time that was sent; nothing and 0 are none.
pub(crate) fn time(seconds: Option<i64>) -> Option<String> {
    let seconds = seconds.filter(|seconds| *seconds > 0)?;
    jiff::Timestamp::from_second(seconds)
        .ok()
        .map(clock::format)
}
