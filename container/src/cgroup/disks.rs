//! Rates of block devices: `io.max` of version 2, `blkio.throttle.*` of version 1.

use std::collections::BTreeSet;
use std::path::Path;

use super::{CgroupError, read, write};
use crate::spec::DiskLimit;

type Rate = fn(&DiskLimit) -> Option<u64>;
const LEGACY: [(&str, Rate); 4] = [
    ("blkio.throttle.read_bps_device", |disk| disk.read_bytes),
    ("blkio.throttle.write_bps_device", |disk| disk.write_bytes),
    ("blkio.throttle.read_iops_device", |disk| disk.reads),
    ("blkio.throttle.write_iops_device", |disk| disk.writes),
];

pub(super) fn apply_unified(group: &Path, disks: &[DiskLimit]) -> Result<(), CgroupError> {
    let path = group.join("io.max");
    let Ok(text) = read(&path) else {
        return if disks.is_empty() {
            Ok(())
        } else {
            Err(CgroupError::NoController { controller: "io" })
        };
    };
    for device in gone(&text, disks) {
        write(
            &path,
            &line(&DiskLimit {
                device,
                ..DiskLimit::default()
            }),
        )?;
    }
    disks.iter().try_for_each(|disk| write(&path, &line(disk)))
}

/// As `io.max` takes it; see Documentation/admin-guide/cgroup-v2.rst.
fn line(disk: &DiskLimit) -> String {
    let rate = |rate: Option<u64>| rate.map_or_else(|| "max".to_owned(), |rate| rate.to_string());
    format!(
        "{} rbps={} wbps={} riops={} wiops={}",
        disk.device,
        rate(disk.read_bytes),
        rate(disk.write_bytes),
        rate(disk.reads),
        rate(disk.writes)
    )
}

pub(super) fn apply_legacy(group: &Path, disks: &[DiskLimit]) -> Result<(), CgroupError> {
    for (file, rate) in LEGACY {
        let path = group.join(file);
        let Ok(text) = read(&path) else {
            continue;
        };
        // 0 is "no limit".
        for device in gone(&text, disks) {
            write(&path, &format!("{device} 0"))?;
        }
        let listed = devices(&text);
        for disk in disks {
            let rate = rate(disk).unwrap_or(0);
            if rate > 0 || listed.contains(disk.device.as_str()) {
                write(&path, &format!("{} {rate}", disk.device))?;
            }
        }
    }
    Ok(())
}

fn devices(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(device, _)| device)
        .collect()
}

/// Devices with a limit that shall have none.
fn gone(text: &str, disks: &[DiskLimit]) -> Vec<String> {
    let wanted = |device: &&str| !disks.iter().any(|disk| disk.device == *device);
    devices(text)
        .into_iter()
        .filter(wanted)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_limit_any_more_is_lifted() {
        let disk = DiskLimit {
            device: "8:0".into(),
            read_bytes: Some(1 << 20),
            writes: Some(100),
            ..DiskLimit::default()
        };
        assert_eq!(line(&disk), "8:0 rbps=1048576 wbps=max riops=max wiops=100");
        assert_eq!(gone("8:0 rbps=1\n8:16 rbps=2\n", &[disk]), ["8:16"]);
        assert!(gone("", &[]).is_empty());
    }
}
