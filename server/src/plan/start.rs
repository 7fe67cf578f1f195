//! What a start hands to the runtime: from an instance and all that it inherits to the one order that the monitor gets.

use std::path::PathBuf;

use rlxc_container::spec::{ContainerSpec, MountSpec};
use rlxc_sys::rootfs::RootSource;

use super::expand::Expanded;
use super::idmap;
use super::interception::plan_interception;
use super::limits::{LimitPlan, prefixed};
use super::nic::{Nic, plan_nics};
use super::requirements;
use super::syscalls::plan_syscalls;
use crate::keys::{is_true, parse_bool};
use crate::model::{Config, Instance};
use crate::places::Places;

/// Capabilities that reach beyond a container even where the kernel would still check them; see capabilities(7).
const DROPPED: &[&str] = &[
    "mac_admin",
    "mac_override",
    "sys_module",
    "sys_rawio",
    "sys_time",
];
/// A start, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartPlan {
    /// The order to the monitor.
    pub spec: ContainerSpec,
    /// What is plugged into its network namespace.
    pub nics: Vec<Nic>,
}

/// Decides. An error says which key or device is wrong.
pub fn plan_start(
    instance: &Instance,
    expanded: &Expanded,
    rootfs: RootSource,
    places: &Places,
    limits: LimitPlan,
) -> Result<StartPlan, String> {
    let config = &expanded.config;
    requirements::check(config)
        .map_err(|reason| format!("instance `{}` can't run: {reason}", instance.name))?;
    let nics = plan_nics(instance.id, &instance.name, config, &expanded.devices)?;
    let privileged = is_true(config, "security.privileged");
    let mut drop_capabilities: Vec<String> =
        DROPPED.iter().map(|name| (*name).to_owned()).collect();
    if privileged {
        drop_capabilities.push("sys_boot".to_owned());
    }
    let mut mounts = plan_disks(expanded)?;
    mounts.extend(guest_api(instance, places, privileged));
    let spec = ContainerSpec {
        instance: instance.id.to_string(),
        name: instance.name.clone(),
        runtime_dir: places.instance_run(instance.id),
        console_log: places.instance_logs(instance.id).join("console.log"),
        cgroup: places.instance_cgroup(instance.id),
        idmap: idmap::map(instance, config)?,
        rootfs,
        mounts,
        devices: Vec::new(),
        links: nics.iter().map(|nic| nic.name.clone()).collect(),
        init: Vec::new(),
        environment: prefixed(config, "environment."),
        rlimits: limits.rlimits,
        sysctls: prefixed(config, "linux.sysctl."),
        seccomp: plan_syscalls(config)?,
        intercept: plan_interception(config)?,
        drop_capabilities,
        apparmor: None,
        nesting: is_true(config, "security.nesting"),
        masked_paths: Vec::new(),
        oom_score_adj: 0,
        limits: limits.limits,
        view: true,
    };
    Ok(StartPlan { spec, nics })
}

/// Where guests look for their host, whether or not there is a socket: it may be switched on later.
fn guest_api(
    instance: &Instance,
    places: &Places,
    privileged: bool,
) -> impl Iterator<Item = MountSpec> {
    let source = places.instance_guest(instance.id);
    ["/dev/lxd", "/dev/incus"]
        .into_iter()
        .map(move |target| MountSpec {
            source: source.clone(),
            target: target.into(),
            // Root of an unprivileged instance can't write there anyway.
            readonly: privileged,
            shift: false,
            recursive: false,
            optional: false,
            file: false,
            beneath: None,
            propagation: String::new(),
            options: String::new(),
        })
}

/// The disks that are no root; their sources are paths of the host.
pub fn plan_disks(expanded: &Expanded) -> Result<Vec<MountSpec>, String> {
    let disks = expanded
        .devices
        .iter()
        .filter(|(_, keys)| keys.get("type").is_some_and(|kind| kind == "disk"));
    disks
        .filter(|(_, keys)| keys.get("path").is_none_or(|path| path != "/"))
        .map(|(name, keys)| plan_disk(name, keys))
        .collect()
}

/// A disk that is no root; its source is a path of the host.
pub fn plan_disk(name: &str, keys: &Config) -> Result<MountSpec, String> {
    let need = |key: &str| {
        keys.get(key)
            .filter(|value| !value.is_empty())
            .ok_or(format!("disk device `{name}` needs `{key}`"))
    };
    let (source, target) = (PathBuf::from(need("source")?), PathBuf::from(need("path")?));
    if !source.is_absolute() {
        return Err(format!(
            "disk device `{name}`: source `{}` is not an absolute path of the host",
            source.display()
        ));
    }
    Ok(MountSpec {
        readonly: is_true(keys, "readonly"),
        shift: is_true(keys, "shift"),
        recursive: is_true(keys, "recursive"),
        optional: keys.get("required").and_then(|value| parse_bool(value)) == Some(false),
        file: false,
        beneath: None,
        propagation: keys.get("propagation").cloned().unwrap_or_default(),
        options: keys.get("raw.mount.options").cloned().unwrap_or_default(),
        source,
        target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Devices;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn instance() -> Instance {
        Instance {
            id: 7,
            project: "default".into(),
            name: "dev1".into(),
            architecture: "x86_64".into(),
            description: String::new(),
            ephemeral: false,
            pool: "default".into(),
            idmap_base: Some(1_000_000),
            idmap_size: 65_536,
            created_at: "2026-01-01T00:00:00.000000Z".into(),
            last_used_at: None,
            config: Config::new(),
            devices: Devices::new(),
            profiles: vec![],
            snapshots: vec![],
        }
    }

    fn plan(keys: &[(&str, &str)]) -> Result<StartPlan, String> {
        let devices = Devices::from([(
            "eth0".to_owned(),
            config(&[
                ("type", "nic"),
                ("network", "rlxcbr0"),
                ("name", "eth0"),
                ("hwaddr", "00:16:3e:00:00:01"),
            ]),
        )]);
        let expanded = Expanded {
            config: config(keys),
            devices,
        };
        let rootfs = RootSource::Tree {
            path: "/pool/containers/7/rootfs".into(),
        };
        let places = Places::new(std::path::Path::new("/var/lib/rlxc"));
        let limits = LimitPlan::default();
        plan_start(&instance(), &expanded, rootfs, &places, limits)
    }

    #[test]
    fn the_order_to_the_monitor() {
        let plan = plan(&[("environment.A", "b")]).unwrap();
        insta::assert_json_snapshot!(plan.spec);
    }
}
