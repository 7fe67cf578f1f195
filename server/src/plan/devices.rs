//! What changes when one set of devices takes the place of another, device by device. Pure.
//!
//! Every change has its inverse, which is a change too: what was done is undone by carrying out the inverse.

use serde::{Deserialize, Serialize};

use super::expand::Expanded;
use crate::keys;
use crate::model::{Config, Devices};

/// A device as a running instance has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name in the configuration.
    pub name: String,
    /// Its keys, `type` among them.
    pub keys: Config,
    /// What the daemon noted of it: the instance's keys `volatile.NAME.*`, without that prefix.
    pub notes: Config,
}

impl Device {
    /// `nic`, `disk`, …
    pub fn kind(&self) -> &str {
        self.keys.get("type").map_or("", String::as_str)
    }
}

/// One change of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It comes.
    Add(Device),
    /// It goes.
    Remove(Device),
    /// It stays, with other values of keys that can change in place.
    Update {
        /// As it was.
        before: Device,
        /// As it shall be.
        after: Device,
    },
}

impl Change {
    /// The change that leads back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        match self.clone() {
            Self::Add(device) => Self::Remove(device),
            Self::Remove(device) => Self::Add(device),
            Self::Update { before, after } => Self::Update {
                before: after,
                after: before,
            },
        }
    }

    /// The device, as it is after the change, or was before it went.
    pub fn device(&self) -> &Device {
        match self {
            Self::Add(device) | Self::Remove(device) | Self::Update { after: device, .. } => device,
        }
    }

    /// `added to`, `removed from` or `changed in`, for messages.
    pub fn text(&self) -> &'static str {
        match self {
            Self::Add(_) => "added to",
            Self::Remove(_) => "removed from",
            Self::Update { .. } => "changed in",
        }
    }
}

/// The changes that lead from `before` to `after`, in the order in which they are carried out: first those in place,
/// which are undone without a trace, then what goes, then what comes (perhaps under a name that has just become free).
///
/// A device that changes in a way that its type can't take in place goes and comes again, as in LXD.
pub fn diff(before: &Expanded, after: &Expanded) -> Vec<Change> {
    let (mut updates, mut removals, mut additions) = (Vec::new(), Vec::new(), Vec::new());
    let old = present(&before.devices);
    let new = present(&after.devices);
    for (name, keys) in &old {
        let device = device(name, keys, &before.config);
        match new.get(*name) {
            None => removals.push(Change::Remove(device)),
            Some(keys_after) if keys_after == keys => {}
            Some(keys_after) => {
                let changed = self::device(name, keys_after, &before.config);
                if is_in_place(&device, &changed) {
                    updates.push(Change::Update {
                        before: device,
                        after: changed,
                    });
                } else {
                    removals.push(Change::Remove(device));
                    additions.push(Change::Add(changed));
                }
            }
        }
    }
    for (name, keys) in new.iter().filter(|(name, _)| !old.contains_key(**name)) {
        additions.push(Change::Add(device(name, keys, &after.config)));
    }
    updates
        .into_iter()
        .chain(removals)
        .chain(additions)
        .collect()
}

/// `type=none` hides a device of a profile: it is not there.
fn present(devices: &Devices) -> std::collections::BTreeMap<&str, &Config> {
    devices
        .iter()
        .filter(|(_, keys)| keys.get("type").is_none_or(|kind| kind != "none"))
        .map(|(name, keys)| (name.as_str(), keys))
        .collect()
}

fn device(name: &str, keys: &Config, config: &Config) -> Device {
    let prefix = format!("volatile.{name}.");
    let notes = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
    Device {
        name: name.to_owned(),
        keys: keys.clone(),
        notes: notes.collect(),
    }
}

/// Whether every key that differs is one that the type of the device can change in place.
fn is_in_place(before: &Device, after: &Device) -> bool {
    if before.kind() != after.kind() {
        return false;
    }
    let mut keys = before.keys.keys().chain(after.keys.keys());
    keys.all(|key| before.keys.get(key) == after.keys.get(key) || can_change_in_place(after, key))
}

/// The keys that a running instance takes a new value of without losing the device.
fn can_change_in_place(device: &Device, key: &str) -> bool {
    // A root can't go and come again: what it can't take in place is refused.
    let is_root =
        device.kind() == "disk" && device.keys.get("path").is_some_and(|path| path == "/");
    is_root || keys::device::is_live(&device.keys, key)
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

    fn with(devices: &[(&str, &[(&str, &str)])]) -> Expanded {
        Expanded {
            config: config(&[
                ("volatile.eth0.hwaddr", "00:16:3e:00:00:01"),
                ("volatile.eth0.host_name", "c1-eth0"),
                ("volatile.eth00.hwaddr", "00:16:3e:00:00:02"),
            ]),
            devices: devices
                .iter()
                .map(|(name, keys)| ((*name).to_owned(), config(keys)))
                .collect(),
        }
    }

    const NIC: &[(&str, &str)] = &[("type", "nic"), ("network", "br0")];

    #[test]
    fn nothing_changes_where_nothing_differs() {
        let both = with(&[("eth0", NIC), ("gone", &[("type", "none")])]);
        assert_eq!(diff(&both, &both), []);
        assert_eq!(diff(&both, &with(&[("eth0", NIC)])), [], "none is nothing");
    }

    #[test]
    fn what_comes_and_goes_knows_its_notes() {
        let changes = diff(&with(&[]), &with(&[("eth0", NIC)]));
        let [Change::Add(device)] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!(
            device.notes,
            config(&[("hwaddr", "00:16:3e:00:00:01"), ("host_name", "c1-eth0")])
        );
        let back = diff(&with(&[("eth0", NIC)]), &with(&[]));
        assert_eq!(back, [changes[0].inverse()]);
    }

    #[test]
    fn an_address_changes_in_place_and_a_network_does_not() {
        let addressed: &[_] = &[NIC[0], NIC[1], ("ipv4.address", "10.0.0.7")];
        let changes = diff(&with(&[("eth0", NIC)]), &with(&[("eth0", addressed)]));
        assert!(
            matches!(&changes[..], [Change::Update { .. }]),
            "{changes:?}"
        );
        assert_eq!(changes[0].inverse().inverse(), changes[0]);
        let elsewhere: &[_] = &[NIC[0], ("network", "br1"), ("ipv4.address", "10.0.0.7")];
        let changes = diff(&with(&[("eth0", NIC)]), &with(&[("eth0", elsewhere)]));
        assert!(
            matches!(&changes[..], [Change::Remove(_), Change::Add(_)]),
            "{changes:?}"
        );
    }

    #[test]
    fn a_type_never_changes_in_place() {
        let disk: &[_] = &[("type", "disk"), ("path", "/")];
        let changes = diff(&with(&[("x", NIC)]), &with(&[("x", disk)]));
        assert!(
            matches!(&changes[..], [Change::Remove(_), Change::Add(_)]),
            "{changes:?}"
        );
    }
}
