//! The configuration keys: one table, a file for each scope. What checks a key, what is served at
//! `/1.0/metadata/configuration` and what `docs/configuration.md` says is read from here.
//!
//! To add a key, add one line to the group that it belongs to, in the file of its scope:
//!
//! ```text
//! Key::new("limits.memory", kind::SIZE_OR_PERCENT, "Most memory that the instance may use").or("no limit").live(),
//! Key::new("user.*", Kind::Text, "Free for users"),      // `*` stands for one or more bytes
//! ```
//!
//! Only keys that have an effect stand here. [`kind`] has what values may look like; a form that is not there yet is one more
//! `Kind::Form`. Then `UPDATE_DOCS=1 cargo nextest run -p rlxc-server docs_are_current` writes `docs/configuration.md` anew.

pub mod device;
pub mod instance;
pub mod kind;
pub mod network;
pub mod nic;
pub mod pool;
pub mod project;
pub mod server;
pub mod volume;
pub mod zone;

pub use kind::Kind;

use crate::model::{Config, Devices};

/// A configuration key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name; `*` stands for one or more bytes.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it does, in one line without a full stop.
    pub about: &'static str,
    /// What holds where it is not set.
    pub default: &'static str,
    /// What must be so for it to mean anything.
    pub condition: &'static str,
    /// Whether a change has its effect at once, on what runs as well.
    pub live: bool,
}

impl Key {
    /// A key with no default that takes effect at the next start.
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            kind,
            about,
            default: "",
            condition: "",
            live: false,
        }
    }

    /// What holds where the key is not set.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// What must be so for the key to mean anything.
    #[must_use]
    pub const fn when(self, condition: &'static str) -> Self {
        Self { condition, ..self }
    }

    /// A change has its effect at once, on what runs as well.
    #[must_use]
    pub const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    fn is_called(&self, name: &str) -> bool {
        match self.name.split_once('*') {
            None => self.name == name,
            Some((before, after)) => {
                name.len() > before.len() + after.len()
                    && name.starts_with(before)
                    && name.ends_with(after)
            }
        }
    }
}

/// Keys that LXD shows under one heading.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// The heading.
    pub name: &'static str,
    /// The keys, by name.
    pub keys: &'static [Key],
}

/// Everything that one kind of resource may have.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// LXD's name for the kind of resource: `instance`, `network-bridge`, `device-disk`.
    pub entity: &'static str,
    /// What errors call a key of it.
    pub called: &'static str,
    /// Its keys.
    pub groups: &'static [Group],
}

/// Every scope there is.
pub const SCOPES: &[&Scope] = &[
    &instance::SCOPE,
    &device::DISK,
    &device::GPU,
    &device::INFINIBAND,
    &nic::BRIDGED,
    &nic::MACVLAN,
    &nic::P2P,
    &nic::PHYSICAL,
    &nic::ROUTED,
    &device::PROXY,
    &device::UNIX_BLOCK,
    &device::UNIX_CHAR,
    &device::TPM,
    &device::UNIX_HOTPLUG,
    &device::USB,
    &network::BRIDGE,
    &network::MACVLAN,
    &network::PHYSICAL,
    &project::SCOPE,
    &server::SCOPE,
    &pool::SCOPE,
    &volume::SCOPE,
    &zone::RECORD,
    &zone::ZONE,
];

impl Scope {
    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.keys)
    }

    /// Checks what a user wrote. An empty value takes a key away and is always right, if the key is known or not.
    /// An error names the key, its value and what would be right.
    pub fn check(&self, config: &Config) -> Result<(), String> {
        config
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .try_for_each(|(name, value)| self.check_one(name, value))
    }

    fn check_one(&self, name: &str, value: &str) -> Result<(), String> {
        let Some(key) = self.keys().find(|key| key.is_called(name)) else {
            let names = self.keys().map(|key| key.name);
            return Err(format!(
                "unknown {} `{name}`{}",
                self.called,
                did_you_mean(name, names.filter(|name| !name.contains('*')))
            ));
        };
        key.kind
            .check(value)
            .map_err(|wrong| format!("`{name}={}` {wrong}", kind::shortened(value)))
    }
}

/// Checks the keys that a user wrote for an instance or a profile.
pub fn check_instance(config: &Config) -> Result<(), String> {
    instance::SCOPE.check(config)?;
    instance::check_rlimits(config)
}

/// Checks the devices that a user wrote; an error names the device.
pub fn check_devices(devices: &Devices) -> Result<(), String> {
    devices.iter().try_for_each(|(name, keys)| {
        name.parse::<rlxc_api::name::DeviceName>()
            .map_err(|error| error.to_string())?;
        device::check(name, keys)
    })
}

/// Booleans as LXD reads them.
pub fn parse_bool(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether a key is set to true.
pub fn is_true(config: &Config, key: &str) -> bool {
    config
        .get(key)
        .and_then(|value| parse_bool(value))
        .unwrap_or(false)
}

/// A sentence that offers the name nearest to `wanted`, or nothing if none is near.
pub fn did_you_mean<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    // What only begins alike is another key: `core.foo` is nothing like `core.proxy_http`.
    let is_near =
        |name: &str| strsim::damerau_levenshtein(wanted, name) <= (wanted.len() / 3).max(2);
    let near = names
        .filter(|name| is_near(name) || name.starts_with(wanted))
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    near.map_or_else(String::new, |(_, name)| format!(". Did you mean `{name}`?"))
}

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
