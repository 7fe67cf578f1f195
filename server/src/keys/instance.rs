//! Keys of instances and profiles.

use rlxc_api::size::ByteSize;

use super::kind::{self, Kind};
use super::{Group, Key, Scope};
use crate::model::Config;
use crate::plan::{cloud_init, idmap, interception, numbers, syscalls};

/// Keys of instances and profiles.
pub const SCOPE: Scope = Scope {
    entity: "instance",
    called: "configuration key",
    groups: &[
        Group {
            name: "boot",
            keys: BOOT,
        },
        Group {
            name: "cloud-init",
            keys: CLOUD_INIT,
        },
        Group {
            name: "miscellaneous",
            keys: MISCELLANEOUS,
        },
        Group {
            name: "resource-limits",
            keys: LIMITS,
        },
        Group {
            name: "security",
            keys: SECURITY,
        },
        Group {
            name: "snapshots",
            keys: SNAPSHOTS,
        },
        Group {
            name: "volatile",
            keys: VOLATILE,
        },
    ],
};

#[rustfmt::skip]
const BOOT: &[Key] = &[
    Key::new("boot.autostart", Kind::Bool, "Whether to start the instance with the daemon").or("as it was when the host went down"),
    Key::new("boot.autostart.delay", kind::COUNT, "Seconds to wait after its start before the next instance starts").or("0"),
    Key::new("boot.autostart.priority", kind::INT, "Turn in which instances start: the highest first").or("0"),
    Key::new("boot.host_shutdown_timeout", kind::COUNT, "Seconds that its init gets to end before it is killed").or("30").live(),
    Key::new("boot.stop.priority", kind::INT, "Turn in which instances are stopped with the host: the highest first").or("0").live(),
];

#[rustfmt::skip]
const CLOUD_INIT: &[Key] = &[
    Key::new("cloud-init.network-config", Kind::Text, "Network configuration for cloud-init").when("the image has cloud-init"),
    Key::new("cloud-init.ssh-keys.*", Kind::Form(cloud_init::is_ssh_key, "a user and a key, such as root:ssh-ed25519 AAAA… or root:gh:NAME"), "A key with which a user may log in, laid into user data and vendor data").when("the image has cloud-init"),
    Key::new("cloud-init.user-data", Kind::Text, "User data for cloud-init").when("the image has cloud-init"),
    Key::new("cloud-init.vendor-data", Kind::Text, "Vendor data for cloud-init").when("the image has cloud-init"),
];

#[rustfmt::skip]
const SNAPSHOTS: &[Key] = &[
    Key::new("snapshots.expiry", kind::LIFETIME, "How long snapshots are kept: `2w 3d`, units M H d w m y").or("for ever").live(),
    Key::new("snapshots.pattern", Kind::Text, "Name of snapshots: `%d` is a number, `{{ creation_date|date:'2006-01-02' }}` a time").or("snap%d").live(),
    Key::new("snapshots.schedule", kind::SCHEDULE, "When snapshots are taken").or("never").live(),
    Key::new("snapshots.schedule.stopped", Kind::Bool, "Whether that goes on while the instance is stopped").or("false").live(),
];

#[rustfmt::skip]
const MISCELLANEOUS: &[Key] = &[
    Key::new("environment.*", Kind::Text, "A variable in the environment of init and of commands"),
    Key::new("image.*", Kind::Text, "Properties of the image that it was made from"),
    Key::new("linux.kernel_modules", Kind::Form(is_modules, "names of modules, joined by commas"), "Modules of the kernel that are loaded before it starts"),
    Key::new("linux.sysctl.*", Kind::Text, "A sysctl of the instance's namespaces, see sysctl(8)"),
    Key::new("raw.apparmor", Kind::Text, "Rules that its AppArmor profile has besides, see apparmor.d(5)").when("the host has AppArmor"),
    Key::new("raw.idmap", Kind::Form(idmap::is_raw, "lines such as `both 1000 1000`"), "Ids that it shares with the host: users, groups or both, the host's, its own").when("it is not privileged"),
    Key::new("user.*", Kind::Text, "Free for users; seen by templates and searchable").live(),
];

#[rustfmt::skip]
const LIMITS: &[Key] = &[
    Key::new("limits.cpu", Kind::Form(is_cpus, "a number of processors or a set such as 0-3,5"), "Processors that it may use: how many, or which").or("all").live(),
    Key::new("limits.cpu.allowance", Kind::Form(is_allowance, "a share such as 50% or a time such as 25ms/100ms"), "How much of the processors: a share when there is contention, or time in each period").or("100%").live(),
    Key::new("limits.cpu.nodes", Kind::Form(is_nodes, "`balanced` or a set of NUMA nodes such as 0-1"), "NUMA nodes that its processors and its memory are on").or("all").live(),
    Key::new("limits.cpu.priority", Kind::Int(0, 10), "Weight beside instances with the same allowance").or("10").live(),
    Key::new("limits.disk.priority", Kind::Int(0, 10), "Share of disks when there is contention").or("5").when("a disk's scheduler knows shares").live(),
    Key::new("limits.hugepages.1GB", kind::SIZE, "Most huge pages of this size, in bytes").or("no limit").when("the host has such pages").live(),
    Key::new("limits.hugepages.1MB", kind::SIZE, "Most huge pages of this size, in bytes").or("no limit").when("the host has such pages").live(),
    Key::new("limits.hugepages.2MB", kind::SIZE, "Most huge pages of this size, in bytes").or("no limit").when("the host has such pages").live(),
    Key::new("limits.hugepages.64KB", kind::SIZE, "Most huge pages of this size, in bytes").or("no limit").when("the host has such pages").live(),
    Key::new("limits.kernel.*", Kind::Form(is_rlimit, "a number, SOFT:HARD or unlimited"), "A resource limit of init and of what it and commands start from now on, see setrlimit(2)").live(),
    Key::new("limits.memory", kind::SIZE_OR_PERCENT, "Most memory that it may use").or("all").live(),
    Key::new("limits.memory.enforce", Kind::OneOf(&["hard", "soft"]), "Whether it may use more while the host has enough").or("hard").live(),
    Key::new("limits.memory.swap", Kind::Form(is_swap, "true, false or a size such as 512MiB"), "Whether its memory may be swapped out, or how much of it").or("true").live(),
    Key::new("limits.memory.swap.priority", Kind::Int(0, 10), "How readily it is swapped out: the lowest last").or("10").when("control groups are of version 1").live(),
    Key::new("limits.processes", Kind::Int(1, PID_MAX_LIMIT), "Most processes and threads that it may have").or("no limit").live(),
];

#[rustfmt::skip]
const SECURITY: &[Key] = &[
    Key::new("security.devlxd", Kind::Bool, "Whether it has the guest API, `/dev/lxd/sock` and `/dev/incus/sock`").or("true").live(),
    Key::new("security.devlxd.images", Kind::Bool, "Whether it may fetch images by the guest API").or("false").live(),
    Key::new("security.guestapi", Kind::Bool, "The same as `security.devlxd`, as Incus calls it").or("true").live(),
    Key::new("security.guestapi.images", Kind::Bool, "The same as `security.devlxd.images`, as Incus calls it").or("false").live(),
    Key::new("security.idmap.base", Kind::Int(1, 0xffff_fffe), "First host id of its range").or("chosen").when("it is not privileged"),
    Key::new("security.idmap.isolated", Kind::Bool, "Whether no other instance has its host ids: none ever has").or("true"),
    Key::new("security.idmap.size", Kind::Int(65_536, 0xffff_fffe), "How many ids it has").or("65536").when("it is not privileged"),
    Key::new("security.nesting", Kind::Bool, "Whether containers may run inside").or("false"),
    Key::new("security.privileged", Kind::Bool, "Whether its root is the host's root").or("false"),
    Key::new("security.protection.delete", Kind::Bool, "Whether it is kept from being deleted").or("false").live(),
    Key::new("security.protection.shift", Kind::Bool, "Whether owners of its files are kept from being shifted on disk: they never are").or("true").live(),
    Key::new("security.protection.start", Kind::Bool, "Whether it is kept from being started").or("false").live(),
    Key::new("security.syscalls.allow", CALLS, "The only system calls that it may use, one a line"),
    Key::new("security.syscalls.blacklist", CALLS, "The former name of `security.syscalls.deny`"),
    Key::new("security.syscalls.blacklist_compat", Kind::Bool, "The former name of `security.syscalls.deny_compat`").or("false"),
    Key::new("security.syscalls.blacklist_default", Kind::Bool, "The former name of `security.syscalls.deny_default`").or("true"),
    Key::new("security.syscalls.deny", CALLS, "System calls that it is refused, one a line: not implemented, or `NAME errno N`"),
    Key::new("security.syscalls.deny_compat", Kind::Bool, "Whether 32-bit programs are refused").or("false"),
    Key::new("security.syscalls.deny_default", Kind::Bool, "Whether it is refused what reaches the host past namespaces").or("true"),
    Key::new("security.syscalls.intercept.bpf", NOT_TO_BE_HAD, "Programs for the kernel; never, see `security.nesting` for containers inside").or("false"),
    Key::new("security.syscalls.intercept.bpf.devices", NOT_TO_BE_HAD, "Programs that allow devices; never").or("false"),
    Key::new("security.syscalls.intercept.mknod", Kind::Bool, "Whether nodes of harmless devices can be made: console, full, null, random, tty, urandom, zero").or("false").when(UNPRIVILEGED),
    Key::new("security.syscalls.intercept.mount", Kind::Bool, "Whether file systems can be mounted as the keys below say").or("false").when(UNPRIVILEGED),
    Key::new("security.syscalls.intercept.mount.allowed", Kind::Form(interception::is_file_systems, "file systems such as ext4,xfs"), "File systems that the host's kernel mounts from block devices of the instance, whatever is on them: it trusts who uses it").or("none").when(MOUNTS).live(),
    Key::new("security.syscalls.intercept.mount.fuse", Kind::Form(interception::is_programs, "file systems and their programs such as ext4=fuse2fs"), "Programs in the instance that mount a file system instead of the kernel").or("none").when(MOUNTS).live(),
    Key::new("security.syscalls.intercept.mount.shift", Kind::Bool, "Whether owners on what the kernel mounts are shifted as the instance's ids are").or("false").when(MOUNTS).live(),
    Key::new("security.syscalls.intercept.sched_setscheduler", Kind::Bool, "Whether processes can be given more urgency, real-time too").or("false").when(UNPRIVILEGED),
    Key::new("security.syscalls.intercept.setxattr", Kind::Bool, "Whether overlays can be marked: `trusted.overlay.opaque`, `impure`, `whiteout`").or("false").when(UNPRIVILEGED),
    Key::new("security.syscalls.intercept.sysinfo", Kind::Bool, "Whether sysinfo(2) tells what the instance has, as files of `/proc` do").or("false").when(UNPRIVILEGED),
    Key::new("security.syscalls.whitelist", CALLS, "The former name of `security.syscalls.allow`"),
];

/// No kernel has more ids of processes, see `/proc/sys/kernel/pid_max` in proc(5).
const PID_MAX_LIMIT: i64 = 4_194_304;

const UNPRIVILEGED: &str = "it is not privileged";
const MOUNTS: &str = "`security.syscalls.intercept.mount` is true";

/// Known from LXD, and refused.
const NOT_TO_BE_HAD: Kind = Kind::Form(
    |text| super::parse_bool(text) == Some(false),
    "`false`: programs for the kernel that an instance writes are not loaded with the privilege of the host",
);

/// System calls by name.
const CALLS: Kind = Kind::Form(
    syscalls::is_calls,
    "system calls, one a line, each alone or with `errno` and a number",
);

#[rustfmt::skip]
const VOLATILE: &[Key] = &[Key::new("volatile.*", Kind::Text, "Notes of the daemon: addresses of NICs, ids, its last state")];

fn is_modules(text: &str) -> bool {
    text.split(',').all(|name| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        !name.is_empty() && !name.starts_with('-') && name.bytes().all(fits)
    })
}

fn is_cpus(text: &str) -> bool {
    match text.parse::<u32>() {
        Ok(count) => count > 0,
        Err(_) => numbers::parse(text).is_some(),
    }
}

fn is_nodes(text: &str) -> bool {
    text == "balanced" || numbers::parse(text).is_some()
}

/// The kernel takes periods from a millisecond to a second, and no less time than a millisecond.
fn is_allowance(text: &str) -> bool {
    let positive = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    let millis = |text: &str| text.strip_suffix("ms").and_then(positive);
    match (text.strip_suffix('%'), text.split_once('/')) {
        (Some(percent), _) => positive(percent).is_some(),
        (None, Some((time, period))) => {
            millis(time).is_some_and(|time| time <= 1_000_000)
                && millis(period).is_some_and(|period| period <= 1000)
        }
        (None, None) => false,
    }
}

fn is_swap(text: &str) -> bool {
    super::parse_bool(text).is_some() || text.parse::<ByteSize>().is_ok()
}

fn is_rlimit(text: &str) -> bool {
    let number = |text: &str| match text {
        "unlimited" => Some(u64::MAX),
        text => text.parse().ok(),
    };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    number(soft)
        .zip(number(hard))
        .is_some_and(|(soft, hard)| soft <= hard)
}

/// Which resource limits there are is setrlimit(2)'s to say.
pub(super) fn check_rlimits(config: &Config) -> Result<(), String> {
    let mut names = config
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(key, _)| key.strip_prefix("limits.kernel."));
    match names.find(|name| rlxc_sys::process::parse_resource(name).is_none()) {
        Some(name) => Err(format!(
            "`limits.kernel.{name}`: there is no such resource limit, see setrlimit(2)"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_wants_them() {
        for good in ["1", "0-3,5", "2,3", "0-0"] {
            assert!(is_cpus(good), "{good}");
        }
        for bad in ["0", "3-0", "x", "1,", "-1", "1-", "1.5"] {
            assert!(!is_cpus(bad), "{bad}");
        }
        for good in ["50%", "200%", "25ms/100ms"] {
            assert!(is_allowance(good), "{good}");
        }
        for bad in [
            "half",
            "0%",
            "-5%",
            "25ms",
            "25/100",
            "0ms/100ms",
            "5ms/2000ms",
        ] {
            assert!(!is_allowance(bad), "{bad}");
        }
        for good in ["5", "5:6", "unlimited", "5:unlimited"] {
            assert!(is_rlimit(good), "{good}");
        }
        for bad in ["many", "5:", ":", "-1", "6:5", "unlimited:5"] {
            assert!(!is_rlimit(bad), "{bad}");
        }
        assert!(is_swap("false") && is_swap("1GiB") && !is_swap("some"));
        let unknown = Config::from([("limits.kernel.files".to_owned(), "1".to_owned())]);
        assert!(
            check_rlimits(&unknown)
                .unwrap_err()
                .contains("limits.kernel.files")
        );
    }
}
