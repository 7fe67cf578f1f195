//! The configuration keys of instances: which there are and what they may hold.

use crate::model::{Config, Devices};

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// true or false, as LXD writes them.
    Bool,
    /// A whole number.
    Int,
    /// Bytes, with a unit: `512MiB`; or a percentage.
    Size,
    /// Anything.
    Text,
}

/// Keys with a fixed name; PEERS of LXD and Incus have the same.
pub const INSTANCE: &[(&str, Kind)] = &[
    ("boot.autostart", Kind::Bool),
    ("boot.autostart.delay", Kind::Int),
    ("boot.autostart.priority", Kind::Int),
    ("boot.host_shutdown_timeout", Kind::Int),
    ("boot.stop.priority", Kind::Int),
    ("cloud-init.network-config", Kind::Text),
    ("cloud-init.user-data", Kind::Text),
    ("cloud-init.vendor-data", Kind::Text),
    ("limits.cpu", Kind::Text),
    ("limits.cpu.allowance", Kind::Text),
    ("limits.cpu.priority", Kind::Int),
    ("limits.memory", Kind::Size),
    ("limits.memory.enforce", Kind::Text),
    ("limits.memory.swap", Kind::Text),
    ("limits.processes", Kind::Int),
    ("security.nesting", Kind::Bool),
    ("security.privileged", Kind::Bool),
    ("security.protection.delete", Kind::Bool),
    ("snapshots.expiry", Kind::Text),
    ("snapshots.pattern", Kind::Text),
    ("snapshots.schedule", Kind::Text),
    ("snapshots.schedule.stopped", Kind::Bool),
];

/// Keys whose name goes on after this.
const PREFIXES: &[&str] = &[
    "environment.",
    "image.",
    "limits.kernel.",
    "linux.sysctl.",
    "user.",
    "volatile.",
];

/// Checks the keys that a user wrote; an error names the key.
pub fn check_instance(config: &Config) -> Result<(), String> {
    config
        .iter()
        .try_for_each(|(key, value)| check_key(key, value))
}

fn check_key(key: &str, value: &str) -> Result<(), String> {
    if PREFIXES
        .iter()
        .any(|prefix| key.len() > prefix.len() && key.starts_with(prefix))
        || value.is_empty()
    {
        return Ok(());
    }
    let Some((_, kind)) = INSTANCE.iter().find(|(name, _)| *name == key) else {
        let names = INSTANCE.iter().map(|(name, _)| *name);
        return Err(format!(
            "unknown configuration key `{key}`{}",
            did_you_mean(key, names)
        ));
    };
    match kind {
        Kind::Bool if parse_bool(value).is_none() => {
            Err(format!("`{key}={value}` is neither true nor false"))
        }
        Kind::Int if value.parse::<i64>().is_err() => {
            Err(format!("`{key}={value}` is not a whole number"))
        }
        Kind::Size if !is_size(value) => Err(format!(
            "`{key}={value}` is not a size such as 512MiB or 50%"
        )),
        _ => Ok(()),
    }
}

/// What may stand in `type` of a device.
const DEVICE_TYPES: &[&str] = &["disk", "nic", "none", "unix-char"];

/// Checks the devices that a user wrote; an error names the device.
pub fn check_devices(devices: &Devices) -> Result<(), String> {
    for (name, device) in devices {
        name.parse::<rlxc_api::name::DeviceName>()
            .map_err(|error| error.to_string())?;
        let kind = device.get("type").map_or("", String::as_str);
        if !DEVICE_TYPES.contains(&kind) {
            let known = DEVICE_TYPES.join(", ");
            return Err(format!(
                "device `{name}` has type `{kind}`, which is not known here: there are {known}"
            ));
        }
    }
    Ok(())
}

fn is_size(value: &str) -> bool {
    let percentage = value
        .strip_suffix('%')
        .is_some_and(|number| number.parse::<u8>().is_ok());
    percentage || value.parse::<rlxc_api::size::ByteSize>().is_ok()
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
    let near = names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    near.map_or_else(String::new, |(_, name)| format!(". Did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, value: &str) -> Result<(), String> {
        check_instance(&Config::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn knows_its_keys() {
        assert!(check("limits.memory", "512MiB").is_ok());
        assert!(check("limits.memory", "50%").is_ok());
        assert!(check("user.anything", "x").is_ok());
        assert!(check("volatile.eth0.hwaddr", "x").is_ok());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        assert_eq!(
            check("limits.memroy", "1").unwrap_err(),
            "unknown configuration key `limits.memroy`. Did you mean `limits.memory`?"
        );
        assert!(
            check("limits.memory", "much")
                .unwrap_err()
                .contains("512MiB")
        );
        assert!(
            check("boot.autostart", "often")
                .unwrap_err()
                .contains("neither")
        );
        assert!(check("user.", "x").is_err());
    }
}
