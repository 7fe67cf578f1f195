//! What is looked at on a host, as plain data: filled by `probe`, judged by the other modules, written by hand in tests.

use std::collections::{BTreeMap, BTreeSet};

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `uname -r`.
    pub kernel_release: String,
    /// Names in `/proc/self/ns`.
    pub namespaces: BTreeSet<String>,
    /// Words of `/proc/sys/kernel/seccomp/actions_avail`.
    pub seccomp_actions: BTreeSet<String>,
    /// `CapEff` of this process.
    pub capabilities: u64,
    /// Values of sysctls by name (`vm.max_map_count`), where they exist and are numbers.
    pub sysctls: BTreeMap<String, u64>,
    /// What trying out the kernel showed.
    pub trials: Trials,
    /// Control groups.
    pub cgroup: CgroupFacts,
    /// The text of `/etc/subuid`.
    pub subuid: String,
    /// The text of `/etc/subgid`.
    pub subgid: String,
    /// Those programs that were found, of `tools::WANTED`.
    pub tools: BTreeSet<String>,
    /// lxcfs is mounted.
    pub lxcfs: bool,
    /// Access to devices can be restricted for a control group.
    pub device_filter: bool,
    /// AppArmor is on.
    pub apparmor: bool,
    /// Those of `tools::DEVICES` that are in `/dev`.
    pub devices: BTreeSet<String>,
    /// The hard limit of open files; `None` without a limit.
    pub open_files: Option<u64>,
    /// The firewall.
    pub firewall: FirewallFacts,
    /// The file system of `RLXC_DIR`.
    pub disk: DiskFacts,
}

/// Results of doing things for real; an error is in the words of the kernel.
#[derive(Debug, Clone)]
pub struct Trials {
    /// A user namespace was made and mapped.
    pub user_namespace: Result<(), String>,
    /// A directory of `RLXC_DIR` was mounted idmapped.
    pub idmapped_mount: Result<(), String>,
    /// An overlay was mounted over idmapped layers in `RLXC_DIR`.
    pub idmapped_overlay: Result<(), String>,
}

impl Default for Trials {
    fn default() -> Self {
        Self {
            user_namespace: Ok(()),
            idmapped_mount: Ok(()),
            idmapped_overlay: Ok(()),
        }
    }
}

/// Where control groups are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CgroupFacts {
    /// Where cgroup2 is mounted.
    pub unified: Option<String>,
    /// Options of that mount.
    pub unified_options: String,
    /// Controllers that cgroup2 has.
    pub unified_controllers: BTreeSet<String>,
    /// Controllers mounted in the old way, and named hierarchies (`name=systemd`).
    pub legacy_controllers: BTreeSet<String>,
    /// Swap can be limited beside memory.
    pub swap: bool,
}

/// What filters packets.
#[derive(Debug, Clone, Default)]
pub struct FirewallFacts {
    /// `nft list ruleset`; empty where it can't be had.
    pub ruleset: String,
    /// Rules of the old iptables, `-S FORWARD`; empty where there are none.
    pub legacy_forward: String,
    /// Bridged packets pass through iptables.
    pub bridge_calls_iptables: bool,
}

/// A file system.
#[derive(Debug, Clone, Default)]
pub struct DiskFacts {
    /// The directory that was asked for.
    pub path: String,
    /// `ext4`.
    pub kind: String,
    /// Options of its mount and of its superblock.
    pub options: String,
    /// Free for root, bytes; `None` if it isn't known.
    pub free_bytes: Option<u64>,
    /// Free inodes; `None` where they are made as needed.
    pub free_inodes: Option<u64>,
}

impl Facts {
    /// Major and minor number of the kernel; zeros if they can't be read.
    pub fn kernel_version(&self) -> (u32, u32) {
        super::feature::parse_version(&self.kernel_release)
    }
}
