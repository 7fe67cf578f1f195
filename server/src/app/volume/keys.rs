//! What the configuration keys of custom volumes say.

use rlxc_api::size::ByteSize;
use rlxc_storage::volume::RootOwner;

use crate::model::Config;

/// The mode of the root of a volume for which nobody said one.
const DEFAULT_MODE: u32 = 0o711;

fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
}

/// What the volume may take, in bytes.
pub(super) fn size(config: &Config) -> Option<u64> {
    config
        .get("size")?
        .parse()
        .ok()
        .map(ByteSize::bytes)
        .filter(|size| *size > 0)
}

/// Whose the root of a new volume is.
pub(super) fn owner(config: &Config) -> RootOwner {
    let id = |key: &str| config.get(key).and_then(|id| id.parse().ok()).unwrap_or(0);
    RootOwner {
        uid: id("initial.uid"),
        gid: id("initial.gid"),
        mode: config
            .get("initial.mode")
            .and_then(|text| mode(text))
            .unwrap_or(DEFAULT_MODE),
    }
}
