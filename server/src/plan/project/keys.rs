//! The keys of projects as they are kept. Which there are is in [`crate::keys::project`].

use super::Feature;
use crate::keys::parse_bool;
use crate::model::Config;

/// Goes on with the name of a pool: how much of it the project may have.
pub const POOL_PREFIX: &str = "limits.disk.pool.";

/// Reads `1000,2000-2999` as first and last ids.
pub fn parse_ids(text: &str) -> Option<Vec<(u32, u32)>> {
    text.split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last).then_some((first, last))
        })
        .collect()
}

/// The keys of a new project: what it does not say of its features is what is usual.
pub fn with_defaults(mut config: Config) -> Config {
    for feature in Feature::ALL {
        config
            .entry(feature.key().to_owned())
            .or_insert_with(|| feature.is_usual().to_string());
    }
    written(config)
}

/// The keys as they are kept: no empty ones, and features as `true` or `false`, which is what the inventory asks for.
pub fn written(mut config: Config) -> Config {
    config.retain(|_, value| !value.is_empty());
    for feature in Feature::ALL {
        if let Some(value) = config.get_mut(feature.key()) {
            *value = parse_bool(value).unwrap_or(false).to_string();
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn ids_are_single_or_ranges() {
        assert_eq!(
            parse_ids("1000,2000-2999"),
            Some(vec![(1000, 1000), (2000, 2999)])
        );
        for wrong in ["", "9-1", "x", "1-", "-1"] {
            assert_eq!(parse_ids(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_table_has_what_projects_need() {
        let check =
            |key: &str, value: &str| crate::keys::project::SCOPE.check(&config(&[(key, value)]));
        for (key, value) in [
            ("limits.instances", "10"),
            ("limits.disk.pool.fast", "0"),
            ("restricted.devices.nic", "managed"),
            ("restricted.idmap.uid", "1000,2000-2999"),
            ("user.note", "x"),
            ("limits.cpu", ""),
        ] {
            assert_eq!(check(key, value), Ok(()), "{key}");
        }
        for (key, value, words) in [
            ("limits.instance", "1", "Did you mean `limits.instances`?"),
            ("limits.instances", "-1", "whole number"),
            ("limits.memory", "50%", "a size such as"),
            ("limits.disk.pool.", "1GiB", "unknown"),
            ("restricted.devices.nic", "maybe", "allow"),
            ("restricted.idmap.uid", "9-1", "ids such as"),
        ] {
            let error = check(key, value).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_new_project_has_what_is_usual() {
        let made = with_defaults(config(&[("features.images", "no"), ("user.a", "")]));
        assert_eq!(made["features.images"], "false");
        assert_eq!(made["features.profiles"], "true");
        assert_eq!(made["features.networks"], "false");
        assert!(!made.contains_key("user.a"));
    }
}
