//! Collects the facts: reads files, asks `nft` and `df`. What can't be read is left empty and judged as missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rlxc_sys::tool::{self, Tool};

use super::facts::{CgroupFacts, DiskFacts, Facts, FirewallFacts};
use super::{cgroup, limits, subid, tools, trial};

/// Looks at everything. Takes some tens of milliseconds and blocks.
pub(super) fn collect(dir: &Path) -> Facts {
    let status = read("/proc/self/status");
    let (users, groups) = (read("/etc/subuid"), read("/etc/subgid"));
    let ranges = subid::choose_ranges(&users, &groups);
    let base = ranges
        .first()
        .map_or(subid::DEFAULT_BASE, |range| range.base);
    Facts {
        kernel_release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        namespaces: list_dir("/proc/self/ns"),
        seccomp_actions: words(&read("/proc/sys/kernel/seccomp/actions_avail")),
        capabilities: parse_capabilities(&status),
        sysctls: limits::names()
            .filter_map(|name| Some((name.to_owned(), sysctl(name)?)))
            .collect::<BTreeMap<_, _>>(),
        trials: trial::run(dir, base),
        cgroup: cgroups(),
        subuid: users,
        subgid: groups,
        tools: tools::WANTED
            .iter()
            .map(|wanted| wanted.0)
            .filter(|name| tool::find(name).is_some())
            .map(str::to_owned)
            .collect(),
        device_filter: rlxc_sys::device_filter::is_available(),
        lxcfs: read("/proc/self/mountinfo").contains(" - fuse.lxcfs "),
        apparmor: read("/sys/module/apparmor/parameters/enabled").trim() == "Y",
        devices: tools::DEVICES
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .filter(|name| Path::new("/dev").join(name).exists())
            .collect(),
        open_files: parse_open_files(&read("/proc/self/limits")),
        firewall: firewall(),
        disk: disk(dir),
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn list_dir(path: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn sysctl(name: &str) -> Option<u64> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    read(path).trim().parse().ok()
}

fn parse_capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// The second number of `Max open files   1024   524288   files`.
fn parse_open_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn cgroups() -> CgroupFacts {
    let mut facts = cgroup::parse_mounts(&read("/proc/self/mountinfo"));
    let Some(root) = facts.unified.clone() else {
        return facts;
    };
    facts.unified_controllers =
        cgroup::parse_controllers(&read(format!("{root}/cgroup.controllers")));
    // The root group has no limits; any group below it shows which files there are.
    let children = list_dir(&root)
        .into_iter()
        .map(|name| format!("{root}/{name}/memory.swap.max"));
    let legacy = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes".to_owned();
    facts.swap = children
        .chain([legacy])
        .any(|path| Path::new(&path).exists());
    facts
}

fn firewall() -> FirewallFacts {
    let run = |tool: Tool| {
        tool.run()
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    };
    // Asking the old iptables would load its modules where nobody uses it.
    let legacy_in_use = read("/proc/net/ip_tables_names")
        .lines()
        .any(|table| table == "filter");
    FirewallFacts {
        ruleset: run(Tool::new("nft").args(["list", "ruleset"])),
        legacy_forward: if legacy_in_use {
            run(Tool::new("iptables-legacy").args(["-S"]))
        } else {
            String::new()
        },
        bridge_calls_iptables: sysctl("net.bridge.bridge-nf-call-iptables") == Some(1),
    }
}

fn disk(path: &Path) -> DiskFacts {
    let df = Tool::new("df")
        .args(["-B1", "--output=fstype,avail,itotal,iavail,target"])
        .args([path])
        .run()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&df).into_owned();
    let fields: Vec<&str> = text
        .lines()
        .nth(1)
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let number = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
    };
    let target = fields.get(4).copied().unwrap_or_default();
    DiskFacts {
        path: path.to_string_lossy().into_owned(),
        kind: fields
            .first()
            .map_or_else(|| "unknown".to_owned(), |kind| (*kind).to_owned()),
        options: find_options(&read("/proc/self/mountinfo"), target),
        free_bytes: number(1),
        // btrfs says that it has 0 inodes: it makes them as needed.
        free_inodes: number(2).filter(|total| *total > 0).and_then(|_| number(3)),
    }
}

/// Options of the mount at `target`, and of its superblock: the last of those that lie on top of each other.
fn find_options(mountinfo: &str, target: &str) -> String {
    let at_target = |line: &&str| line.split(' ').nth(4) == Some(target);
    let line = mountinfo.lines().rfind(at_target).unwrap_or_default();
    let own = line.split(' ').nth(5).unwrap_or_default();
    let superblock = line
        .split_once(" - ")
        .and_then(|(_, rest)| rest.split(' ').nth(2))
        .unwrap_or_default();
    format!("{own},{superblock}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(
            parse_capabilities("Name:\tx\nCapEff:\t000001fffeffffff\n") & (1 << 24),
            0
        );
        assert_eq!(
            parse_open_files(
                "Max open files            1024                 524288               files\n"
            ),
            Some(524_288)
        );
        assert_eq!(
            parse_open_files(
                "Max open files            1024                 unlimited            files\n"
            ),
            None
        );
        let mountinfo = "29 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw,prjquota\n";
        assert_eq!(find_options(mountinfo, "/"), "rw,relatime,rw,prjquota");
    }

    #[test]
    fn reads_hybrid_cgroups() {
        let mountinfo = "34 33 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                         35 33 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                         36 33 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let facts = cgroup::parse_mounts(mountinfo);
        assert_eq!(facts.unified.as_deref(), Some("/sys/fs/cgroup/unified"));
        assert_eq!(facts.unified_options, "rw,nsdelegate");
        let legacy: Vec<_> = facts
            .legacy_controllers
            .iter()
            .map(String::as_str)
            .collect();
        assert_eq!(legacy, ["cpu", "cpuacct", "name=systemd"]);
    }
}
