//! `restricted` and `restricted.*`: what is forbidden in a project, so that who may do all in it can't reach the host.
//!
//! What is not named is forbidden: a device of a type that nobody thought of here does not pass.

use std::path::{Component, Path, PathBuf};

use super::keys::parse_ids;
use crate::keys::{is_true, parse_bool, project::SCOPE};
use crate::model::{Config, Devices};
use crate::plan::expand::root_disk;

/// Keys that reach below what a container is usually given.
const LOW_LEVEL: &[&str] = &[
    "boot.host_shutdown_timeout",
    "limits.memory.swap",
    "linux.kernel_modules",
    "raw.apparmor",
    "raw.lxc",
    "raw.seccomp",
    "security.devlxd.images",
    "security.guestapi.images",
    "security.idmap.base",
    "security.idmap.size",
];

/// Interceptions that let a container do what only the kernel's own checks confine, or that others have to make room for.
const RISKY_INTERCEPTIONS: &[&str] = &[
    "security.syscalls.intercept.mount",
    "security.syscalls.intercept.mount.allowed",
    "security.syscalls.intercept.mount.fuse",
    "security.syscalls.intercept.bpf",
    "security.syscalls.intercept.bpf.devices",
    "security.syscalls.intercept.sched_setscheduler",
];

/// Something to look at: an instance with its profiles applied, or a profile.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Such as ``instance `c1` ``.
    pub what: &'a str,
    /// Keys.
    pub config: &'a Config,
    /// Devices.
    pub devices: &'a Devices,
}

/// The restrictions of a project.
#[derive(Debug, Clone, Copy)]
pub struct Restrictions<'a> {
    project: &'a str,
    config: &'a Config,
}

impl<'a> Restrictions<'a> {
    /// Those of a project with these keys; `None` if nothing is forbidden in it.
    pub fn of(project: &'a str, config: &'a Config) -> Option<Self> {
        is_true(config, "restricted").then_some(Self { project, config })
    }

    /// What a key says, or would if it were set.
    fn value(&self, key: &str) -> &str {
        if let Some(value) = self.config.get(key).filter(|value| !value.is_empty()) {
            return value;
        }
        let known = SCOPE.keys().find(|known| known.name == key);
        match known.map(|known| known.default) {
            Some("any" | "none") => "",
            Some(default) => default,
            None => "block",
        }
    }

    fn refuse(&self, what: &str, key: &str) -> Result<(), String> {
        let value = self.value(key);
        let shown = if value.is_empty() { "(unset)" } else { value };
        self.forbid(what, &format!("{key}={shown}"))
    }

    fn forbid(&self, what: &str, why: &str) -> Result<(), String> {
        Err(format!(
            "{what} is not allowed in project `{}`: it has restricted=true and {why}",
            self.project
        ))
    }

    fn require(&self, key: &str, what: &str) -> Result<(), String> {
        if self.value(key) == "allow" {
            return Ok(());
        }
        self.refuse(what, key)
    }

    /// Whether something that the whole project has, or has not, is allowed: snapshots or backups.
    pub fn check_action(&self, key: &'static str, what: &str) -> Result<(), String> {
        self.require(key, what)
    }

    /// Whether images may come from a server.
    pub fn check_image_server(&self, url: &str) -> Result<(), String> {
        let allowed = self.value("restricted.images.servers");
        let host = url.split("://").nth(1).unwrap_or(url);
        let host = host.split(['/', ':']).next().unwrap_or(host);
        if allowed.is_empty() || list(allowed).any(|server| server == host) {
            return Ok(());
        }
        self.refuse(
            &format!("the image server `{host}`"),
            "restricted.images.servers",
        )
    }

    /// Whether a DNS zone is one that the project may use, or lies in one.
    pub fn check_zone(&self, zone: &str) -> Result<(), String> {
        const KEY: &str = "restricted.networks.zones";
        let within = |known: &str| {
            let above = zone.strip_suffix(known);
            above.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if list(self.value(KEY)).any(within) {
            return Ok(());
        }
        self.refuse(&format!("network zone `{zone}`"), KEY)
    }

    /// Refuses what is forbidden; the error names what, the project and the key that forbids it.
    pub fn check(&self, subject: Subject<'_>) -> Result<(), String> {
        for (key, value) in subject.config {
            self.check_key(subject.what, key, value)?;
        }
        let root = root_disk(subject.devices).map(|(name, _)| name);
        for (name, device) in subject.devices {
            let what = format!("device `{name}` of {}", subject.what);
            self.check_device(&what, device, root == Some(name))?;
        }
        Ok(())
    }

    fn check_key(&self, owner: &str, key: &str, value: &str) -> Result<(), String> {
        let what = format!("`{key}` of {owner}");
        let on = parse_bool(value) == Some(true);
        if key.starts_with("security.syscalls.intercept.") {
            return self.check_interception(&what, key, value);
        }
        match key {
            "security.privileged"
                if on && self.value("restricted.containers.privilege") != "allow" =>
            {
                self.refuse(&what, "restricted.containers.privilege")
            }
            // Each instance has ids of its own here unless it asks for others.
            "security.idmap.isolated"
                if !on && self.value("restricted.containers.privilege") == "isolated" =>
            {
                self.refuse(&what, "restricted.containers.privilege")
            }
            "security.nesting" if on => self.require("restricted.containers.nesting", &what),
            "raw.idmap" => self.check_idmap(&what, value),
            "security.syscalls.deny_default" | "security.syscalls.blacklist_default"
                if parse_bool(value) == Some(false) =>
            {
                self.require("restricted.containers.lowlevel", &what)
            }
            key if LOW_LEVEL.contains(&key) || key.starts_with("raw.") => {
                self.require("restricted.containers.lowlevel", &what)
            }
            _ => Ok(()),
        }
    }

    fn check_interception(&self, what: &str, key: &str, value: &str) -> Result<(), String> {
        const KEY: &str = "restricted.containers.interception";
        if matches!(value, "" | "false" | "0" | "no" | "off") {
            return Ok(());
        }
        match self.value(KEY) {
            "full" => Ok(()),
            "allow" if !RISKY_INTERCEPTIONS.contains(&key) => Ok(()),
            _ => self.refuse(what, KEY),
        }
    }

    /// Ids of the host that `raw.idmap` maps must be among those that the project may have.
    fn check_idmap(&self, what: &str, value: &str) -> Result<(), String> {
        if self.value("restricted.containers.lowlevel") == "allow" {
            return Ok(());
        }
        for line in value.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let (kind, host) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let keys: &[&'static str] = match kind {
                "uid" => &["restricted.idmap.uid"],
                "gid" => &["restricted.idmap.gid"],
                _ => &["restricted.idmap.uid", "restricted.idmap.gid"],
            };
            for key in keys {
                let allowed = parse_ids(self.value(key)).unwrap_or_default();
                let wanted = parse_ids(host).unwrap_or_default();
                let fits = wanted.iter().all(|(first, last)| {
                    allowed.iter().any(|(from, to)| from <= first && last <= to)
                });
                if wanted.is_empty() || !fits {
                    let now = match self.value(key) {
                        "" => format!("{key} is not set"),
                        value => format!("{key}={value}"),
                    };
                    return self.forbid(what, &format!("{now}: a list with {host} would allow it"));
                }
            }
        }
        Ok(())
    }

    fn check_device(&self, what: &str, device: &Config, is_root: bool) -> Result<(), String> {
        let text = |key: &str| device.get(key).map_or("", String::as_str);
        match text("type") {
            "none" => Ok(()),
            "nic" => self.check_nic(what, device),
            "disk" => {
                self.check_pool(what, text("pool"))?;
                if is_root {
                    return Ok(());
                }
                self.check_disk(what, device)
            }
            "unix-char" => self.require("restricted.devices.unix-char", what),
            "unix-block" => self.require("restricted.devices.unix-block", what),
            "unix-hotplug" => self.require("restricted.devices.unix-hotplug", what),
            "usb" => self.require("restricted.devices.usb", what),
            "gpu" => self.require("restricted.devices.gpu", what),
            "infiniband" => self.require("restricted.devices.infiniband", what),
            "pci" => self.require("restricted.devices.pci", what),
            "proxy" => self.require("restricted.devices.proxy", what),
            kind => self.forbid(
                what,
                &format!("no key that allows devices of type `{kind}`"),
            ),
        }
    }

    fn check_pool(&self, what: &str, pool: &str) -> Result<(), String> {
        const KEY: &str = "restricted.storage-pools.access";
        let allowed = self.value(KEY);
        if pool.is_empty() || allowed.is_empty() || list(allowed).any(|name| name == pool) {
            return Ok(());
        }
        self.refuse(&format!("storage pool `{pool}` in {what}"), KEY)
    }

    fn check_nic(&self, what: &str, device: &Config) -> Result<(), String> {
        const KEY: &str = "restricted.devices.nic";
        const ACCESS: &str = "restricted.networks.access";
        const HOSTS_OWN: &[&str] = &[
            "host_name",
            "ipv4.routes",
            "ipv6.routes",
            "vlan",
            "vlan.tagged",
        ];
        let network = device.get("network");
        match self.value(KEY) {
            "allow" => {}
            // Names of interfaces of the host, its routes and its VLANs are the host's to give.
            "managed"
                if network.is_some() && !HOSTS_OWN.iter().any(|key| device.contains_key(*key)) => {}
            _ => return self.refuse(what, KEY),
        }
        let allowed = self.value(ACCESS);
        let wanted = network.or_else(|| device.get("parent"));
        match wanted {
            Some(name) if !allowed.is_empty() && !list(allowed).any(|known| known == name) => {
                self.refuse(&format!("network `{name}` in {what}"), ACCESS)
            }
            _ => Ok(()),
        }
    }

    fn check_disk(&self, what: &str, device: &Config) -> Result<(), String> {
        const KEY: &str = "restricted.devices.disk";
        const OPTIONS: &str = "raw.mount.options";
        // No mount gets from the host to the instance, nor back; see mount_namespaces(7).
        const ALONE: &[&str] = &["", "private", "rprivate", "unbindable", "runbindable"];
        let source = device.get("source").map_or("", String::as_str);
        let managed = device.get("pool").is_some_and(|pool| !pool.is_empty());
        if device.get(OPTIONS).is_some_and(|value| !value.is_empty()) {
            let what = format!("`{OPTIONS}` of {what}");
            self.require("restricted.containers.lowlevel", &what)?;
        }
        let propagation = device.get("propagation").map_or("", String::as_str);
        if !ALONE.contains(&propagation) {
            let what = format!("`propagation={propagation}` of {what}");
            self.require("restricted.containers.lowlevel", &what)?;
        }
        match self.value(KEY) {
            "managed" | "allow" if managed => Ok(()),
            "allow" => {
                // With its owners shifted, root of the container would be root on the host's files.
                if is_true(device, "shift") {
                    self.require(
                        "restricted.containers.lowlevel",
                        &format!("`shift` of {what}"),
                    )?;
                }
                self.check_source(what, source)
            }
            _ => self.refuse(what, KEY),
        }
    }

    /// The directory that links of a source may not lead out of, when it is opened.
    pub fn top_of(&self, source: &Path) -> Option<PathBuf> {
        list(self.value("restricted.devices.disk.paths"))
            .map(PathBuf::from)
            .find(|prefix| source.starts_with(prefix))
    }

    /// Whether a directory or file of the host may be given to an instance; see [`Self::top_of`] for what links lead to.
    pub fn check_source(&self, what: &str, source: &str) -> Result<(), String> {
        const PATHS: &str = "restricted.devices.disk.paths";
        let allowed = self.value(PATHS);
        if allowed.is_empty() {
            return Ok(());
        }
        let path = Path::new(source);
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let within = list(allowed).any(|prefix| path.starts_with(prefix));
        if path.is_absolute() && plain && within {
            return Ok(());
        }
        self.refuse(&format!("source `{source}` of {what}"), PATHS)
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests;
