//! What an instance has once its profiles are laid under its own keys and devices.

use crate::model::{Config, Devices, Instance, Profile};

/// Keys and devices with profiles applied, later ones over earlier ones, the instance's own over all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Keys.
    pub config: Config,
    /// Devices.
    pub devices: Devices,
}

/// Expands an instance; `profiles` may hold more than it uses.
pub fn expand(instance: &Instance, profiles: &[Profile]) -> Expanded {
    expand_parts(
        &instance.profiles,
        profiles,
        &instance.config,
        &instance.devices,
    )
}

/// Expands keys and devices of something that is not an instance yet, or no longer.
pub fn expand_parts(
    names: &[String],
    profiles: &[Profile],
    config: &Config,
    devices: &Devices,
) -> Expanded {
    let mut expanded = Expanded::default();
    for profile in names
        .iter()
        .filter_map(|name| profiles.iter().find(|profile| profile.name == *name))
    {
        expanded.config.extend(profile.config.clone());
        expanded.devices.extend(profile.devices.clone());
    }
    expanded.config.extend(config.clone());
    expanded.devices.extend(devices.clone());
    expanded
}

/// Refuses a list of profiles that names one twice: which of its places would count is not to be guessed.
pub fn refuse_twice(names: &[String]) -> Result<(), String> {
    let twice = names
        .iter()
        .enumerate()
        .find(|(place, name)| names[..*place].contains(name));
    twice.map_or(Ok(()), |(_, name)| {
        Err(format!("profile `{name}` is given twice: name it once"))
    })
}

/// The root disk among devices: `type=disk`, `path=/`.
pub fn root_disk(devices: &Devices) -> Option<(&String, &Config)> {
    devices.iter().find(|(_, device)| {
        device.get("type").is_some_and(|kind| kind == "disk")
            && device.get("path").is_some_and(|path| path == "/")
    })
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

    fn profile(name: &str, keys: &[(&str, &str)], devices: Devices) -> Profile {
        Profile {
            id: 1,
            project: "default".into(),
            name: name.into(),
            description: String::new(),
            config: config(keys),
            devices,
            used_by: vec![],
        }
    }

    #[test]
    fn later_wins() {
        let profiles = [
            profile("a", &[("k", "a"), ("only", "a")], Devices::new()),
            profile("b", &[("k", "b")], Devices::new()),
        ];
        let names = ["a".to_owned(), "b".to_owned()];
        let expanded = expand_parts(&names, &profiles, &config(&[("own", "1")]), &Devices::new());
        assert_eq!(
            expanded.config,
            config(&[("k", "b"), ("only", "a"), ("own", "1")])
        );
    }

    #[test]
    fn a_profile_counts_once() {
        let names = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
        assert_eq!(refuse_twice(&names("a,b,c")), Ok(()));
        let wrong = refuse_twice(&names("a,b,c,b")).unwrap_err();
        assert_eq!(wrong, "profile `b` is given twice: name it once");
    }

    #[test]
    fn a_device_is_replaced_as_a_whole() {
        let root = |pool: &str| {
            Devices::from([(
                "root".to_owned(),
                config(&[("type", "disk"), ("path", "/"), ("pool", pool)]),
            )])
        };
        let own = Devices::from([("root".to_owned(), config(&[("type", "none")]))]);
        let profiles = [profile("a", &[], root("p"))];
        let expanded = expand_parts(&["a".to_owned()], &profiles, &Config::new(), &own);
        assert_eq!(expanded.devices["root"], config(&[("type", "none")]));
        assert!(root_disk(&expanded.devices).is_none());
        assert!(root_disk(&root("p")).is_some());
    }
}
