//! The complete order to a monitor. All that it learns about an instance is in here.
//!
//! Serialised as JSON between versions: fields are only ever added, each with a default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rlxc_sys::idmap::IdMap;
use rlxc_sys::rootfs::RootSource;
use serde::{Deserialize, Serialize};

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ContainerSpec {
    /// Identity of the instance, unique on the host and constant over renames.
    pub instance: String,
    /// Host name.
    pub name: String,
    /// Directory of `monitor.sock` and `exit.json`; exists, belongs to root, mode 0700.
    pub runtime_dir: PathBuf,
    /// File to which the console's output is appended; not kept if empty.
    #[serde(default)]
    pub console_log: PathBuf,
    /// Name of the payload's cgroup below the root of each hierarchy, at least two levels (`rlxc/42`): the first holds
    /// the monitors too.
    pub cgroup: String,
    /// Ids of the container; none for a privileged one.
    #[serde(default)]
    pub idmap: Option<IdMap>,
    /// Where `/` comes from.
    pub rootfs: RootSource,
    /// What is mounted in it, in order.
    #[serde(default)]
    pub mounts: Vec<MountSpec>,
    /// Devices of the host that it may use, besides the minimal ones.
    #[serde(default)]
    pub devices: Vec<DeviceSpec>,
    /// Interfaces to bring up, besides `lo`. One that is not there is no error.
    #[serde(default)]
    pub links: Vec<String>,
    /// What is executed as process 1; the first that exists of the usual programs if empty.
    #[serde(default)]
    pub init: Vec<String>,
    /// Environment of process 1, besides `container=lxc`, `PATH`, `HOME` and `TERM`.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// Resource limits by name as in setrlimit(2), lower case: soft, hard; `u64::MAX` is "unlimited".
    #[serde(default)]
    pub rlimits: Vec<(String, u64, u64)>,
    /// Kernel parameters by name, `net.ipv4.ip_forward`.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
    /// System calls that are refused.
    #[serde(default)]
    pub seccomp: SeccompPolicy,
    /// System calls that the monitor answers instead of the kernel. Only an unprivileged container has need of that.
    #[serde(default, skip_serializing_if = "Interception::is_nothing")]
    pub intercept: Interception,
    /// Capabilities that no process of it ever has, `sys_time`.
    #[serde(default)]
    pub drop_capabilities: Vec<String>,
    /// AppArmor profile; the kernel must have AppArmor then.
    #[serde(default)]
    pub apparmor: Option<String>,
    /// Whether it may run containers itself.
    #[serde(default)]
    pub nesting: bool,
    /// Paths in it that show nothing, besides those of the kernel that reach the host.
    #[serde(default)]
    pub masked_paths: Vec<PathBuf>,
    /// How likely the kernel picks its processes when memory is short, -1000 to 1000; see proc_pid_oom_score_adj(5).
    #[serde(default)]
    pub oom_score_adj: i32,
    /// What it may use of the host.
    #[serde(default)]
    pub limits: Limits,
    /// Whether files of `/proc` and `/sys` show what it got instead of what the host has.
    #[serde(default)]
    pub view: bool,
}

/// A directory or file of the host that the container sees, or what is on a block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, by name on the wire"
)]
pub struct MountSpec {
    /// On the host.
    pub source: PathBuf,
    /// In the container; made if it is missing. Links on the way stay in the container.
    pub target: PathBuf,
    /// Whether writing is refused.
    #[serde(default)]
    pub readonly: bool,
    /// Whether owners are shifted as those of the root file system are.
    #[serde(default)]
    pub shift: bool,
    /// Whether mounts below the source come along.
    #[serde(default)]
    pub recursive: bool,
    /// Whether a source that is missing is no error.
    #[serde(default)]
    pub optional: bool,
    /// Whether it is a file, not a directory; seen by itself when the source is there.
    #[serde(default)]
    pub file: bool,
    /// A directory of the host that no link on the way to the source may lead out of.
    #[serde(default)]
    pub beneath: Option<PathBuf>,
    /// How mounts on the host and in the container reach each other: a word of mount(8), `private` if it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// Options of mount(8), joined by commas: of the file system on it too if the source is a block device.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
}

/// A device of the host, as a node of the container's own `/dev` (or bound from the host, if it is to be elsewhere:
/// mode and owner are the host's then).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DeviceSpec {
    /// Which device of the instance it belongs to.
    #[serde(default)]
    pub device: String,
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub path: PathBuf,
    /// `c` or `b`; that of the source if empty.
    #[serde(default)]
    pub kind: String,
    /// `254:0`; that of the source if empty.
    #[serde(default)]
    pub number: String,
    /// Permissions.
    #[serde(default = "DeviceSpec::default_mode")]
    pub mode: u32,
    /// Owner, an id of the container.
    #[serde(default)]
    pub uid: u32,
    /// Group, an id of the container.
    #[serde(default)]
    pub gid: u32,
    /// Whether it may be missing on the host.
    #[serde(default)]
    pub optional: bool,
}

impl DeviceSpec {
    fn default_mode() -> u32 {
        0o660
    }
}

/// Which system calls are refused, by name; see `security.syscalls.*` of LXD. A name that is unknown is an error, never ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct SeccompPolicy {
    /// Refused with "function not implemented", besides what is refused in each container.
    pub deny: Vec<String>,
    /// Refused with an error of the caller's choice, see errno(3).
    pub deny_with: Vec<(String, u16)>,
    /// Only these are not refused, if there are any.
    pub allow: Vec<String>,
    /// Whether programs of other architectures are refused as a whole: 32-bit ones on a 64-bit kernel.
    pub deny_compat: bool,
    /// Whether what each container is refused is allowed.
    pub without_default: bool,
    /// No filter at all.
    pub off: bool,
}

/// Which system calls the monitor answers, with more privilege than the container has; see `security.syscalls.intercept.*`
/// of LXD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags, by name on the wire"
)]
pub struct Interception {
    /// Nodes of harmless devices can be made.
    pub mknod: bool,
    /// Attributes of overlays can be set on files.
    pub setxattr: bool,
    /// Processes can be given more urgency than the kernel gives a container.
    pub sched_setscheduler: bool,
    /// Memory, load and uptime are the container's.
    pub sysinfo: bool,
    /// File systems on block devices can be mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<MountInterception>,
}

impl Interception {
    /// Whether all is the kernel's to answer.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Which file systems can be mounted, by their names in `/proc/filesystems`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct MountInterception {
    /// By the kernel, from block devices that the container was given.
    pub allowed: Vec<String>,
    /// By a program in the container, which is given the source and the place.
    pub fuse: BTreeMap<String, String>,
    /// Whether owners on disk are shifted by the container's maps.
    pub shift: bool,
}

/// What a container may use; what is not set is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory in bytes above which the kernel reclaims first here.
    pub memory_soft: Option<u64>,
    /// Swap in bytes, besides memory.
    pub swap: Option<u64>,
    /// How readily the kernel swaps, 0 to 200; version 1 only.
    pub swappiness: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
    /// Time on processors.
    pub cpu_time: Option<CpuTime>,
    /// Share of processors under contention, 1 to 10,000; 100 is usual.
    pub cpu_weight: Option<u64>,
    /// Processors it may run on, as cpuset writes lists: `0-2,5`.
    pub cpus: Option<String>,
    /// NUMA nodes that its memory comes from, written in the same way.
    pub nodes: Option<String>,
    /// Share of block devices under contention, 1 to 1,000; 100 is usual.
    pub io_weight: Option<u64>,
    /// Rates of block devices.
    pub disks: Vec<DiskLimit>,
    /// Bytes of huge pages by their size as the kernel writes it: `2MB`.
    pub hugepages: BTreeMap<String, u64>,
}

/// So much processor time in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuTime {
    /// Microseconds of processor time.
    pub quota_us: u64,
    /// Microseconds of a period.
    pub period_us: u64,
}

/// What may be read from and written to a block device in a second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DiskLimit {
    /// Its number, `8:0`; a whole disk, no partition.
    pub device: String,
    /// Bytes.
    pub read_bytes: Option<u64>,
    /// Bytes.
    pub write_bytes: Option<u64>,
    /// Requests.
    pub reads: Option<u64>,
    /// Requests.
    pub writes: Option<u64>,
}
