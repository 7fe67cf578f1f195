//! Which keys a pool may have depends on its driver.

use crate::keys::{Group, did_you_mean, pool, volume};
use crate::model::Config;

/// Checks the keys of a pool; an error names the key.
pub(super) fn keys(driver: &str, config: &Config) -> Result<(), String> {
    let foreign = pool::OF_DRIVERS
        .iter()
        .filter(|(name, _)| *name != driver)
        .flat_map(|(_, group): &(_, Group)| group.keys);
    for key in foreign {
        if config.get(key.name).is_some_and(|value| !value.is_empty()) {
            let known = pool::SCOPE
                .groups
                .iter()
                .take(1)
                .flat_map(|group| group.keys);
            return Err(format!(
                "unknown storage pool key `{}` of driver `{driver}`{}",
                key.name,
                did_you_mean(key.name, known.map(|key| key.name))
            ));
        }
    }
    pool::SCOPE.check(config)?;
    let defaults = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("volume.")?.to_owned(), value.clone())));
    volume::SCOPE.check(&defaults.collect())
}
