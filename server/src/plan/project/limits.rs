//! `limits.*`: how much a project may have. A limit on what instances use together needs each of them to say how much it
//! may use, or it would limit nothing.

use std::collections::BTreeMap;

use rlxc_api::size::ByteSize;

use super::keys::POOL_PREFIX;
use crate::model::{Config, Devices};
use crate::plan::expand::root_disk;

/// An instance with its profiles applied.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Its name.
    pub name: String,
    /// The pool of its root volume.
    pub pool: String,
    /// Keys.
    pub config: Config,
    /// Devices.
    pub devices: Devices,
}

/// A custom volume.
#[derive(Debug, Clone, Default)]
pub struct HeldVolume {
    /// Its name.
    pub name: String,
    /// Its pool.
    pub pool: String,
    /// Its `size`, if it has one.
    pub size: Option<String>,
}

/// What a project has.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// Instances.
    pub instances: Vec<Held>,
    /// Custom volumes.
    pub volumes: Vec<HeldVolume>,
    /// Bytes of its own images.
    pub images: u64,
    /// How many networks are its own.
    pub networks: u64,
}

/// A thing that can be limited.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Resource {
    Instances,
    Containers,
    VirtualMachines,
    Networks,
    Cpu,
    Memory,
    Processes,
    Disk,
    DiskOfPool(String),
}

impl Resource {
    const NAMED: [Self; 8] = [
        Self::Instances,
        Self::Containers,
        Self::VirtualMachines,
        Self::Networks,
        Self::Cpu,
        Self::Memory,
        Self::Processes,
        Self::Disk,
    ];

    /// As the state of a project calls it; with `limits.` before it, the key.
    fn name(&self) -> String {
        match self {
            Self::Instances => "instances".to_owned(),
            Self::Containers => "containers".to_owned(),
            Self::VirtualMachines => "virtual-machines".to_owned(),
            Self::Networks => "networks".to_owned(),
            Self::Cpu => "cpu".to_owned(),
            Self::Memory => "memory".to_owned(),
            Self::Processes => "processes".to_owned(),
            Self::Disk => "disk".to_owned(),
            Self::DiskOfPool(pool) => format!("disk.pool.{pool}"),
        }
    }

    fn key(&self) -> String {
        format!("limits.{}", self.name())
    }

    fn parse(&self, text: &str) -> Result<u64, String> {
        let wrong = || format!("`{}={text}` can't be added up", self.key());
        if self.is_size() {
            // A percentage is of the host, which is no amount.
            return text
                .parse::<ByteSize>()
                .map(ByteSize::bytes)
                .map_err(|_bad| wrong());
        }
        text.parse().map_err(|_bad| wrong())
    }

    fn is_size(&self) -> bool {
        matches!(self, Self::Memory | Self::Disk | Self::DiskOfPool(_))
    }

    fn amount(&self, number: u64) -> String {
        if self.is_size() {
            ByteSize(number).to_string()
        } else {
            number.to_string()
        }
    }

    /// The key of an instance that says how much of this it may use, and what it says.
    fn of_instance<'a>(&self, held: &'a Held) -> Option<(&'static str, Option<&'a String>)> {
        let root_size = || root_disk(&held.devices).and_then(|(_, root)| root.get("size"));
        match self {
            Self::Cpu => Some(("limits.cpu", held.config.get("limits.cpu"))),
            Self::Memory => Some(("limits.memory", held.config.get("limits.memory"))),
            Self::Processes => Some(("limits.processes", held.config.get("limits.processes"))),
            Self::Disk => Some(("the size of its root disk", root_size())),
            Self::DiskOfPool(pool) => (held.pool == *pool)
                .then(root_size)
                .map(|size| ("the size of its root disk", size)),
            _ => None,
        }
    }

    /// Whether the size of a volume counts.
    fn counts(&self, volume: &HeldVolume) -> bool {
        match self {
            Self::Disk => true,
            Self::DiskOfPool(pool) => volume.pool == *pool,
            _ => false,
        }
    }

    /// How much of it is held. What does not say how much it may use is passed over, or is an error.
    fn used(&self, holdings: &Holdings, unset: Unset) -> Result<u64, String> {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        match self {
            Self::Instances | Self::Containers => return Ok(count(holdings.instances.len())),
            Self::VirtualMachines => return Ok(0),
            Self::Networks => return Ok(holdings.networks),
            _ => {}
        }
        let mut sum = if *self == Self::Disk {
            holdings.images
        } else {
            0
        };
        for held in &holdings.instances {
            let Some((key, value)) = self.of_instance(held) else {
                continue;
            };
            let who = format!("instance `{}`", held.name);
            sum = sum.saturating_add(self.share(&who, key, value, unset)?);
        }
        for volume in holdings.volumes.iter().filter(|volume| self.counts(volume)) {
            let who = format!("volume `{}`", volume.name);
            sum = sum.saturating_add(self.share(&who, "`size`", volume.size.as_ref(), unset)?);
        }
        Ok(sum)
    }

    fn share(
        &self,
        who: &str,
        key: &str,
        value: Option<&String>,
        unset: Unset,
    ) -> Result<u64, String> {
        let Some(text) = value.filter(|text| !text.is_empty()) else {
            return match unset {
                Unset::IsNothing => Ok(0),
                Unset::IsRefused => Err(format!("{who} must set {key}, itself or by a profile")),
            };
        };
        match (self.parse(text), unset) {
            (Ok(number), _) => Ok(number),
            (Err(_), Unset::IsNothing) => Ok(0),
            (Err(error), Unset::IsRefused) => Err(format!("{who}: {error}")),
        }
    }
}

/// What is thought of an instance that does not say how much it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unset {
    IsNothing,
    IsRefused,
}

fn limited(config: &Config) -> Vec<(Resource, &String)> {
    let named = Resource::NAMED
        .into_iter()
        .filter_map(|resource| Some((resource.clone(), config.get(&resource.key())?)));
    let pools = config.iter().filter_map(|(key, value)| {
        let pool = key.strip_prefix(POOL_PREFIX)?;
        Some((Resource::DiskOfPool(pool.to_owned()), value))
    });
    named.chain(pools).collect()
}

/// Whether anything of a project is limited.
pub fn has_limits(config: &Config) -> bool {
    config.keys().any(|key| key.starts_with("limits."))
}

/// Refuses holdings that are more than a project's keys allow; the error names project, limit and usage.
pub fn check(project: &str, config: &Config, holdings: &Holdings) -> Result<(), String> {
    for (resource, text) in limited(config) {
        let key = resource.key();
        let limit = resource.parse(text)?;
        let used = resource
            .used(holdings, Unset::IsRefused)
            .map_err(|error| format!("project `{project}` has {key}={text}: {error}"))?;
        if used > limit {
            return Err(format!(
                "project `{project}` has {key}={text}, and this would make {}",
                resource.amount(used)
            ));
        }
    }
    Ok(())
}

/// How much is used, and how much may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// `None` without a limit.
    pub limit: Option<u64>,
    /// Bytes, or a number.
    pub used: u64,
}

/// Usage of all that can be limited, by name.
pub fn usage(config: &Config, holdings: &Holdings) -> BTreeMap<String, Usage> {
    let limits = limited(config);
    let pools = limits
        .iter()
        .map(|(resource, _)| resource.clone())
        .filter(|resource| matches!(resource, Resource::DiskOfPool(_)));
    let all = Resource::NAMED.into_iter().chain(pools);
    all.map(|resource| {
        let limit = config
            .get(&resource.key())
            .and_then(|text| resource.parse(text).ok());
        let used = resource.used(holdings, Unset::IsNothing).unwrap_or(0);
        (resource.name(), Usage { limit, used })
    })
    .collect()
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

    fn held(name: &str, keys: &[(&str, &str)], size: Option<&str>) -> Held {
        let mut root = config(&[("type", "disk"), ("path", "/"), ("pool", "fast")]);
        root.extend(size.map(|size| ("size".to_owned(), size.to_owned())));
        Held {
            name: name.to_owned(),
            pool: "fast".to_owned(),
            config: config(keys),
            devices: Devices::from([("root".to_owned(), root)]),
        }
    }

    fn two() -> Holdings {
        let keys = [
            ("limits.cpu", "2"),
            ("limits.memory", "1GiB"),
            ("limits.processes", "100"),
        ];
        Holdings {
            instances: vec![
                held("a", &keys, Some("10GiB")),
                held("b", &keys, Some("5GiB")),
            ],
            volumes: vec![HeldVolume {
                name: "v".to_owned(),
                pool: "slow".to_owned(),
                size: Some("1GiB".to_owned()),
            }],
            images: 1 << 30,
            networks: 1,
        }
    }

    #[test]
    fn each_limit_is_one_too_few_or_enough() {
        for (key, enough, too_few, made) in [
            ("limits.instances", "2", "1", "2"),
            ("limits.containers", "2", "1", "2"),
            ("limits.networks", "1", "0", "1"),
            ("limits.cpu", "4", "3", "4"),
            ("limits.memory", "2GiB", "2047MiB", "2GiB"),
            ("limits.processes", "200", "199", "200"),
            ("limits.disk", "17GiB", "16GiB", "17GiB"),
            ("limits.disk.pool.fast", "15GiB", "14GiB", "15GiB"),
            ("limits.disk.pool.slow", "1GiB", "0", "1GiB"),
        ] {
            assert_eq!(check("team", &config(&[(key, enough)]), &two()), Ok(()));
            let error = check("team", &config(&[(key, too_few)]), &two()).unwrap_err();
            assert_eq!(
                error,
                format!("project `team` has {key}={too_few}, and this would make {made}")
            );
        }
    }

    #[test]
    fn an_instance_must_say_how_much_it_may_use() {
        let mut holdings = two();
        holdings.instances.push(held("c", &[], None));
        for (key, missing) in [
            ("limits.cpu", "limits.cpu"),
            ("limits.memory", "limits.memory"),
            ("limits.processes", "limits.processes"),
            ("limits.disk", "the size of its root disk"),
        ] {
            let error = check("team", &config(&[(key, "900")]), &holdings).unwrap_err();
            let words = format!("instance `c` must set {missing}, itself or by a profile");
            assert!(
                error.ends_with(&words) || error.contains("would make"),
                "{error}"
            );
        }
        let keys = [("limits.cpu", "0-3"), ("limits.memory", "50%")];
        holdings.instances[2] = held("c", &keys, None);
        for key in ["limits.cpu", "limits.memory"] {
            let error = check("team", &config(&[(key, "9000000000000")]), &holdings).unwrap_err();
            assert!(error.contains("can't be added up"), "{error}");
        }
        // Counting says how much is known.
        let usage = usage(&config(&[("limits.cpu", "9")]), &holdings);
        assert_eq!(
            usage["cpu"],
            Usage {
                limit: Some(9),
                used: 4
            }
        );
        assert_eq!(
            usage["instances"],
            Usage {
                limit: None,
                used: 3
            }
        );
    }

    #[test]
    fn a_project_without_limits_is_not_looked_at() {
        assert!(!has_limits(&config(&[("features.images", "true")])));
        assert!(has_limits(&config(&[("limits.disk.pool.x", "1GiB")])));
    }
}
