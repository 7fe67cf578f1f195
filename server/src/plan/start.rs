//! What a start hands to the runtime: from an instance and all that it inherits to the one order that the monitor gets.

use std::path::PathBuf;

use rlxc_api::size::ByteSize;
use rlxc_container::spec::{ContainerSpec, CpuTime, DeviceSpec, Limits, MountSpec};
use rlxc_sys::rootfs::RootSource;

use super::expand::Expanded;
use super::idmap;
use super::nic::{Nic, plan_nics};
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
const UNLIMITED: u64 = u64::MAX;
/// What `cpu.weight` of a control group is unless said, see cgroups(7).
const NORMAL_WEIGHT: u64 = 100;
/// What `limits.cpu.priority` is unless said.
const HIGHEST_PRIORITY: u64 = 10;

/// What the host has, as far as limits depend on it.
#[derive(Debug, Clone, Copy)]
pub struct HostFacts {
    /// Bytes of memory.
    pub memory: u64,
    /// Processors.
    pub cpus: u32,
}

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
    host: HostFacts,
) -> Result<StartPlan, String> {
    let config = &expanded.config;
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
        devices: plan_char_devices(expanded),
        links: nics.iter().map(|nic| nic.name.clone()).collect(),
        init: Vec::new(),
        environment: prefixed(config, "environment."),
        rlimits: plan_rlimits(config)?,
        sysctls: prefixed(config, "linux.sysctl."),
        seccomp: plan_syscalls(config)?,
        drop_capabilities,
        apparmor: None,
        nesting: is_true(config, "security.nesting"),
        masked_paths: Vec::new(),
        oom_score_adj: 0,
        limits: plan_limits(config, host)?,
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
        })
}

fn prefixed(config: &Config, prefix: &str) -> Vec<(String, String)> {
    let matching = config
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
    matching
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

fn plan_disks(expanded: &Expanded) -> Result<Vec<MountSpec>, String> {
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
        source,
        target,
    })
}

fn plan_char_devices(expanded: &Expanded) -> Vec<DeviceSpec> {
    let devices = expanded
        .devices
        .values()
        .filter(|keys| keys.get("type").is_some_and(|kind| kind == "unix-char"));
    devices
        .filter_map(|keys| {
            let source = keys.get("source").or_else(|| keys.get("path"))?;
            let path = keys.get("path").unwrap_or(source);
            let optional = keys.get("required").and_then(|value| parse_bool(value)) == Some(false);
            let id = |key: &str| keys.get(key).and_then(|id| id.parse().ok()).unwrap_or(0);
            let mode = keys.get("mode");
            Some(DeviceSpec {
                source: source.into(),
                path: path.into(),
                mode: mode
                    .and_then(|mode| u32::from_str_radix(mode, 8).ok())
                    .unwrap_or(0o660),
                uid: id("uid"),
                gid: id("gid"),
                optional,
            })
        })
        .collect()
}

fn plan_rlimits(config: &Config) -> Result<Vec<(String, u64, u64)>, String> {
    prefixed(config, "limits.kernel.")
        .into_iter()
        .map(|(name, value)| {
            let (soft, hard) = value.split_once(':').unwrap_or((&value, &value));
            let number = |text: &str| match text {
                "unlimited" => Ok(UNLIMITED),
                text => text.parse().map_err(|_bad| {
                    format!(
                        "`limits.kernel.{name}={value}` is not a number, SOFT:HARD or unlimited"
                    )
                }),
            };
            Ok((name.clone(), number(soft)?, number(hard)?))
        })
        .collect()
}

fn plan_limits(config: &Config, host: HostFacts) -> Result<Limits, String> {
    let mut limits = Limits {
        processes: number(config, "limits.processes")?,
        ..Limits::default()
    };
    if let Some(text) = config.get("limits.memory") {
        let bytes = memory(text, host.memory)
            .ok_or_else(|| format!("`limits.memory={text}` is not a size such as 512MiB or 50%"))?;
        match config.get("limits.memory.enforce").map(String::as_str) {
            Some("soft") => limits.memory_soft = Some(bytes),
            _ => limits.memory = Some(bytes),
        }
    }
    if config
        .get("limits.memory.swap")
        .and_then(|value| parse_bool(value))
        == Some(false)
    {
        limits.swap = Some(0);
    }
    if let Some(text) = config.get("limits.cpu") {
        limits.cpus = Some(cpus(text, host.cpus)?);
    }
    if let Some(text) = config.get("limits.cpu.allowance") {
        allowance(text, &mut limits)?;
    }
    if let Some(priority) = number(config, "limits.cpu.priority")? {
        // As with LXD: a little less than those of the same allowance.
        let weight = limits.cpu_weight.unwrap_or(NORMAL_WEIGHT);
        limits.cpu_weight = Some(weight.saturating_sub(HIGHEST_PRIORITY - priority).max(1));
    }
    Ok(limits)
}

fn number(config: &Config, key: &str) -> Result<Option<u64>, String> {
    config
        .get(key)
        .map(|text| {
            text.parse()
                .map_err(|_bad| format!("`{key}={text}` is not a whole number"))
        })
        .transpose()
}

fn memory(text: &str, total: u64) -> Option<u64> {
    match text.strip_suffix('%') {
        Some(percent) => Some(total / 100 * percent.trim().parse::<u64>().ok()?),
        None => text.parse::<ByteSize>().ok().map(ByteSize::bytes),
    }
}

fn cpus(text: &str, host: u32) -> Result<String, String> {
    let Ok(count) = text.parse::<u32>() else {
        let valid = text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-' || byte == b',');
        return valid.then(|| text.to_owned()).ok_or_else(|| {
            format!("`limits.cpu={text}` is neither a number nor a set such as 0-3,5")
        });
    };
    match count {
        0 => Err("`limits.cpu=0` would leave no processor".to_owned()),
        count => Ok(format!("0-{}", count.min(host).saturating_sub(1))),
    }
}

fn allowance(text: &str, limits: &mut Limits) -> Result<(), String> {
    let bad = || {
        format!(
            "`limits.cpu.allowance={text}` is neither a share such as 50% nor a time such as 25ms/100ms"
        )
    };
    if let Some(percent) = text.strip_suffix('%') {
        limits.cpu_weight = Some(
            percent
                .parse::<u64>()
                .map_err(|_bad| bad())?
                .clamp(1, 10_000),
        );
        return Ok(());
    }
    let (quota, period) = text.split_once('/').ok_or_else(bad)?;
    let micros = |text: &str| {
        text.strip_suffix("ms")
            .and_then(|ms| ms.parse::<u64>().ok())
            .map(|ms| ms * 1000)
            .ok_or_else(bad)
    };
    limits.cpu_time = Some(CpuTime {
        quota_us: micros(quota)?,
        period_us: micros(period)?,
    });
    Ok(())
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
        plan_start(
            &instance(),
            &expanded,
            rootfs,
            &places,
            HostFacts {
                memory: 1 << 34,
                cpus: 8,
            },
        )
    }

    #[test]
    fn the_order_to_the_monitor() {
        let plan = plan(&[
            ("limits.memory", "50%"),
            ("limits.cpu", "2"),
            ("limits.processes", "500"),
            ("environment.A", "b"),
        ])
        .unwrap();
        insta::assert_json_snapshot!(plan.spec);
    }

    #[test]
    fn says_which_limit_is_wrong() {
        assert!(
            plan(&[("limits.cpu.allowance", "half")])
                .unwrap_err()
                .contains("limits.cpu.allowance=half")
        );
        assert!(
            plan(&[("limits.cpu", "0")])
                .unwrap_err()
                .contains("no processor")
        );
        assert!(
            plan(&[("limits.kernel.nofile", "many")])
                .unwrap_err()
                .contains("limits.kernel.nofile=many")
        );
    }
}
