//! What an instance may use: its keys and the rates of its disks, as this host can honour them.

use std::path::{Path, PathBuf};

use rlxc_api::size::ByteSize;
use rlxc_container::spec::DiskLimit;
use rlxc_sys::rootfs::RootSource;

use super::pinning;
use crate::app::volume;
use crate::context::{App, blocking, instance_url};
use crate::error::{Error, Result};
use crate::model::{Config, Instance};
use crate::plan::expand::Expanded;
use crate::plan::limits::{LimitPlan, plan_limits};
use crate::saga::instance_volume;

/// The kind of warning that tells what an instance asked for and does not get.
const NOT_HONOURED: &str = "Resource limit not honoured";
const RATES: [&str; 3] = ["limits.max", "limits.read", "limits.write"];

/// Decides, and chooses processors.
pub(super) async fn plan(app: &App, instance: &Instance, expanded: &Expanded) -> Result<LimitPlan> {
    let (disks, on_no_disk) = disk_limits(app, instance, expanded).await?;
    let mut plan = plan_limits(&expanded.config, disks, &app.host).map_err(Error::Invalid)?;
    plan.unmet.extend(on_no_disk);
    let place = pinning::choose(app, instance.id, &plan.pins).await?;
    (plan.limits.cpus, plan.limits.nodes) = (place.cpus, place.nodes);
    Ok(plan)
}

/// Warns of what is not honoured, or no longer.
pub(super) async fn tell(app: &App, instance: &Instance, unmet: &[String]) {
    let url = instance_url(&instance.project, &instance.name);
    if unmet.is_empty() {
        app.resolve(NOT_HONOURED, &url);
    } else {
        app.warn(NOT_HONOURED, &url, &unmet.join("; ")).await;
    }
}

/// The rates of block devices. The lowest of those that devices on the same disk ask for holds for all of them.
async fn disk_limits(
    app: &App,
    instance: &Instance,
    expanded: &Expanded,
) -> Result<(Vec<DiskLimit>, Vec<String>)> {
    let limited = |keys: &Config| {
        let is_disk = keys.get("type").is_some_and(|kind| kind == "disk");
        is_disk
            && RATES
                .iter()
                .any(|key| keys.get(*key).is_some_and(|rate| !rate.is_empty()))
    };
    let mut devices = expanded.devices.clone();
    devices.retain(|_, keys| limited(keys));
    if devices.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let devices = volume::resolve(app, &instance.project, &devices).await?;
    let (mut disks, mut unmet) = (Vec::<DiskLimit>::new(), Vec::new());
    for (name, keys) in &devices {
        let limit = parse(name, keys).map_err(Error::Invalid)?;
        let path = place(app, instance, keys).await?;
        let Some(device) = blocking(move || block_device(&path)).await else {
            unmet.push(format!(
                "device `{name}`: what it shows is on no block device whose rates could be limited"
            ));
            continue;
        };
        let limit = DiskLimit { device, ..limit };
        match disks.iter_mut().find(|disk| disk.device == limit.device) {
            Some(disk) => *disk = lower(disk, &limit),
            None => disks.push(limit),
        }
    }
    Ok((disks, unmet))
}

fn lower(one: &DiskLimit, other: &DiskLimit) -> DiskLimit {
    let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
    DiskLimit {
        device: one.device.clone(),
        read_bytes: least(one.read_bytes, other.read_bytes),
        write_bytes: least(one.write_bytes, other.write_bytes),
        reads: least(one.reads, other.reads),
        writes: least(one.writes, other.writes),
    }
}

/// `limits.max` is both; it holds against `limits.read` and `limits.write`, as in LXD.
fn parse(name: &str, keys: &Config) -> Result<DiskLimit, String> {
    let rate = |key: &str| -> Result<Option<Rate>, String> {
        let Some(text) = keys.get(key).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        parse_rate(text).map(Some).ok_or_else(|| {
            format!("device `{name}`: `{key}={text}` is not a rate such as 10MB or 100iops")
        })
    };
    let both = rate("limits.max")?;
    let (read, write) = (
        both.or(rate("limits.read")?),
        both.or(rate("limits.write")?),
    );
    let bytes = |rate: Option<Rate>| match rate {
        Some(Rate::Bytes(bytes)) => Some(bytes),
        _ => None,
    };
    let requests = |rate: Option<Rate>| match rate {
        Some(Rate::Requests(requests)) => Some(requests),
        _ => None,
    };
    Ok(DiskLimit {
        device: String::new(),
        read_bytes: bytes(read),
        write_bytes: bytes(write),
        reads: requests(read),
        writes: requests(write),
    })
}

/// In a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Bytes.
    Bytes(u64),
    /// Requests.
    Requests(u64),
}

/// `10MB` or `100iops`.
pub fn parse_rate(text: &str) -> Option<Rate> {
    let rate = match text.strip_suffix("iops") {
        Some(number) => Rate::Requests(number.trim().parse().ok()?),
        None => Rate::Bytes(text.parse::<ByteSize>().ok()?.bytes()),
    };
    (!matches!(rate, Rate::Bytes(0) | Rate::Requests(0))).then_some(rate)
}

/// Where on the host what a disk shows is.
async fn place(app: &App, instance: &Instance, keys: &Config) -> Result<PathBuf> {
    if keys.get("path").is_none_or(|path| path != "/") {
        return Ok(keys.get("source").map(PathBuf::from).unwrap_or_default());
    }
    let (driver, volume) = (app.pools.get(&instance.pool)?, instance_volume(instance.id));
    let root = blocking(move || driver.root(volume)).await;
    let root = root.map_err(|error| {
        Error::failed(
            format!("find the root volume of `{}`", instance.name),
            error,
        )
    })?;
    Ok(match root {
        RootSource::Tree { path } => path,
        RootSource::Overlay { upper, .. } => upper,
    })
}

/// The number of the whole disk that a file is on: `254:0`.
fn block_device(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let mut number = std::fs::metadata(path).ok()?.dev();
    if rustix::fs::major(number) == 0 {
        // Subvolumes of btrfs have numbers of their own.
        number = std::fs::metadata(mounted_from(path)?).ok()?.rdev();
    }
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let entry = format!("/sys/dev/block/{major}:{minor}");
    if !Path::new(&entry).join("partition").exists() {
        return (major != 0).then(|| format!("{major}:{minor}"));
    }
    let whole = std::fs::canonicalize(entry).ok()?.parent()?.join("dev");
    Some(std::fs::read_to_string(whole).ok()?.trim().to_owned())
}

/// The device that is mounted where a path is, see proc_pid_mountinfo(5).
fn mounted_from(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let place = PathBuf::from(mount.split(' ').nth(4)?);
        let source = PathBuf::from(filesystem.split(' ').nth(1)?);
        path.starts_with(&place).then_some((place, source))
    });
    // Of two at the same place the later hides the other.
    let (_, source) = mounts.max_by_key(|(place, _)| place.as_os_str().len())?;
    source.starts_with("/dev").then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_both_kinds() {
        let keys = |pairs: &[(&str, &str)]| -> Config {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let limit = parse(
            "root",
            &keys(&[("limits.read", "10MiB"), ("limits.write", "50iops")]),
        );
        let limit = limit.unwrap();
        assert_eq!((limit.read_bytes, limit.writes), (Some(10 << 20), Some(50)));
        assert_eq!((limit.write_bytes, limit.reads), (None, None));
        let both = parse(
            "root",
            &keys(&[("limits.max", "1MB"), ("limits.read", "5iops")]),
        )
        .unwrap();
        assert_eq!(
            (both.read_bytes, both.write_bytes),
            (Some(1_000_000), Some(1_000_000))
        );
        assert_eq!(lower(&limit, &both).read_bytes, Some(1_000_000));
        let error = parse("root", &keys(&[("limits.max", "fast")])).unwrap_err();
        assert_eq!(
            error,
            "device `root`: `limits.max=fast` is not a rate such as 10MB or 100iops"
        );
    }

    #[test]
    fn files_are_on_whole_disks() {
        let tree = tempfile::tempdir_in("/var/tmp").unwrap();
        if let Some(device) = block_device(tree.path()) {
            let entry = PathBuf::from(format!("/sys/dev/block/{device}"));
            assert!(
                entry.exists() && !entry.join("partition").exists(),
                "{device}"
            );
        }
        assert_eq!(block_device(Path::new("/proc/self")), None);
    }
}
