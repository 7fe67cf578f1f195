//! What a guest may know of itself, and what a change of it is told as. Pure.

use serde_json::{Value, json};

use crate::keys::parse_bool;
use crate::model::{Config, Devices, Instance};
use crate::plan::cloud_init;
use crate::plan::expand::Expanded;

/// Keys that a guest may read.
const VISIBLE: [&str; 2] = ["user.", "cloud-init."];
/// Whether there is a guest API; LXD and Incus have a name each, for one setting.
const ENABLED: [&str; 2] = ["security.devlxd", "security.guestapi"];
/// Whether a guest may fetch images.
const IMAGES: [&str; 2] = ["security.devlxd.images", "security.guestapi.images"];
/// What cloud-init takes for the identity of the machine: it runs anew when that changes.
pub const INSTANCE_ID: &str = "volatile.cloud-init.instance-id";
/// Whether the guest has said that it is ready.
pub const READY: &str = "volatile.last_state.ready";

/// Whether an instance has a guest API.
pub fn is_enabled(config: &Config) -> bool {
    !ENABLED
        .iter()
        .any(|key| config.get(*key).and_then(|value| parse_bool(value)) == Some(false))
}

/// Whether cloud-init must run again after a change: its input changed, or the names of interfaces did.
pub fn is_another_machine(before: &Expanded, after: &Expanded) -> bool {
    fn input(config: &Config) -> Vec<(&String, &String)> {
        const NAMES: [&str; 3] = ["network-config", "user-data", "vendor-data"];
        let is_input = |key: &str| {
            VISIBLE
                .iter()
                .filter_map(|prefix| key.strip_prefix(prefix))
                .any(|name| {
                    NAMES.contains(&name) || name == "meta-data" || name.starts_with("ssh-keys.")
                })
        };
        config.iter().filter(|(key, _)| is_input(key)).collect()
    }
    fn interfaces(devices: &Devices) -> Vec<&String> {
        let nics = devices
            .iter()
            .filter(|(_, keys)| keys.get("type").is_some_and(|kind| kind == "nic"));
        nics.map(|(name, keys)| keys.get("name").unwrap_or(name))
            .collect()
    }
    input(&before.config) != input(&after.config)
        || interfaces(&before.devices) != interfaces(&after.devices)
}

/// All that a guest is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its project.
    pub project: String,
    /// Its name.
    pub name: String,
    /// The keys that it may read, profiles applied.
    pub config: Config,
    /// Its devices, profiles applied, with the addresses that its interfaces got.
    pub devices: Devices,
    /// Whether it may fetch images.
    pub images: bool,
    /// Whether it has said that it is ready.
    pub ready: bool,
    /// What cloud-init takes for the identity of the machine.
    pub instance_id: String,
}

impl Facts {
    /// Of an instance as it is configured now.
    pub fn of(instance: &Instance, expanded: &Expanded) -> Self {
        let visible = |key: &str| VISIBLE.iter().any(|prefix| key.starts_with(prefix));
        let config = expanded.config.iter().filter(|(key, _)| visible(key));
        let mut told: Config = config
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        cloud_init::add_ssh_keys(&mut told);
        let is_true =
            |key: &str| expanded.config.get(key).and_then(|value| parse_bool(value)) == Some(true);
        let id = instance.config.get(INSTANCE_ID);
        Self {
            project: instance.project.clone(),
            name: instance.name.clone(),
            config: told,
            devices: with_addresses(expanded, &instance.config),
            images: IMAGES.iter().any(|key| is_true(key)),
            ready: is_true(READY),
            instance_id: id
                .or_else(|| instance.config.get("volatile.uuid"))
                .unwrap_or(&instance.name)
                .clone(),
        }
    }

    /// `meta-data` of cloud-init, with what the user adds to it.
    pub fn meta_data(&self) -> String {
        let more = self.config.get("user.meta-data").map_or("", String::as_str);
        format!(
            "#cloud-config\ninstance-id: {}\nlocal-hostname: {}\n{more}",
            self.instance_id, self.name
        )
    }

    /// What has changed since `before`, as the events' types and metadata.
    pub fn changes(&self, before: &Self) -> Vec<(&'static str, Value)> {
        let mut events = Vec::new();
        for key in union(&before.config, &self.config) {
            let (old, new) = (before.config.get(key), self.config.get(key));
            if old != new {
                let text = |value: Option<&String>| value.cloned().unwrap_or_default();
                events.push((
                    "config",
                    json!({"key": key, "old_value": text(old), "value": text(new)}),
                ));
            }
        }
        for name in union(&before.devices, &self.devices) {
            let (action, config) = match (before.devices.get(name), self.devices.get(name)) {
                (None, Some(new)) => ("added", new),
                (Some(old), None) => ("removed", old),
                (Some(old), Some(new)) if old != new => ("updated", new),
                _ => continue,
            };
            events.push((
                "device",
                json!({"action": action, "name": name, "config": config}),
            ));
        }
        events
    }
}

fn union<'a, V>(
    one: &'a std::collections::BTreeMap<String, V>,
    other: &'a std::collections::BTreeMap<String, V>,
) -> std::collections::BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

fn with_addresses(expanded: &Expanded, volatile: &Config) -> Devices {
    let mut devices = expanded.devices.clone();
    for (name, keys) in &mut devices {
        let address = volatile.get(&format!("volatile.{name}.hwaddr"));
        if let Some(address) = address
            && keys.get("type").is_some_and(|kind| kind == "nic")
        {
            keys.entry("hwaddr".to_owned())
                .or_insert_with(|| address.clone());
        }
    }
    devices
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

    fn expanded(keys: &[(&str, &str)]) -> Expanded {
        let nic = config(&[("type", "nic"), ("name", "eth0")]);
        Expanded {
            config: config(keys),
            devices: Devices::from([("eth0".to_owned(), nic)]),
        }
    }

    fn facts(keys: &[(&str, &str)]) -> Facts {
        let instance = Instance {
            id: 7,
            project: "default".into(),
            name: "c1".into(),
            architecture: "x86_64".into(),
            description: String::new(),
            ephemeral: false,
            pool: "default".into(),
            idmap_base: None,
            idmap_size: 65_536,
            created_at: String::new(),
            last_used_at: None,
            config: config(&[
                ("volatile.eth0.hwaddr", "00:16:3e:00:00:01"),
                ("volatile.uuid", "u-1"),
            ]),
            devices: Devices::new(),
            profiles: vec![],
            snapshots: vec![],
        };
        Facts::of(&instance, &expanded(keys))
    }

    #[test]
    fn it_is_there_unless_one_of_its_names_says_no() {
        assert!(is_enabled(&config(&[])));
        assert!(is_enabled(&config(&[("security.devlxd", "true")])));
        assert!(!is_enabled(&config(&[("security.devlxd", "false")])));
        assert!(!is_enabled(&config(&[("security.guestapi", "no")])));
    }

    #[test]
    fn a_guest_reads_what_is_its_users_and_cloud_inits() {
        let facts = facts(&[
            ("user.x", "1"),
            ("cloud-init.user-data", "#cloud-config"),
            ("limits.memory", "1GiB"),
            ("volatile.uuid", "secret"),
            ("environment.TOKEN", "secret"),
        ]);
        let keys: Vec<_> = facts.config.keys().map(String::as_str).collect();
        assert_eq!(keys, ["cloud-init.user-data", "user.x"]);
        assert_eq!(facts.devices["eth0"]["hwaddr"], "00:16:3e:00:00:01");
        assert!(!facts.images);
    }

    #[test]
    fn the_users_meta_data_follow() {
        let text = facts(&[("user.meta-data", "x: y\n")]).meta_data();
        assert_eq!(
            text,
            "#cloud-config\ninstance-id: u-1\nlocal-hostname: c1\nx: y\n"
        );
    }

    #[test]
    fn changes_are_told_one_by_one() {
        let before = facts(&[("user.a", "1"), ("user.b", "1"), ("limits.cpu", "1")]);
        let mut after = facts(&[("user.a", "2"), ("user.c", "3"), ("limits.cpu", "2")]);
        after.devices.clear();
        let told = after.changes(&before);
        assert_eq!(
            told[..3],
            [
                (
                    "config",
                    json!({"key": "user.a", "old_value": "1", "value": "2"})
                ),
                (
                    "config",
                    json!({"key": "user.b", "old_value": "1", "value": ""})
                ),
                (
                    "config",
                    json!({"key": "user.c", "old_value": "", "value": "3"})
                ),
            ]
        );
        assert_eq!(told[3].1["action"], "removed");
        assert_eq!(told.len(), 4);
        assert!(after.changes(&after).is_empty());
    }

    #[test]
    fn cloud_init_runs_again_only_for_what_it_reads() {
        let before = expanded(&[("user.x", "1"), ("limits.cpu", "1")]);
        assert!(!is_another_machine(
            &before,
            &expanded(&[("user.x", "2"), ("limits.cpu", "2")])
        ));
        for key in [
            "user.user-data",
            "cloud-init.user-data",
            "cloud-init.network-config",
        ] {
            assert!(
                is_another_machine(&before, &expanded(&[(key, "x")])),
                "{key}"
            );
        }
        let mut renamed = before.clone();
        renamed
            .devices
            .get_mut("eth0")
            .unwrap()
            .insert("name".to_owned(), "lan0".to_owned());
        assert!(is_another_machine(&before, &renamed));
    }
}
