//! lxcfs, where the host runs it: files that show an instance what it got, bound over those of the kernel. See lxcfs(1).

use std::path::Path;

use rlxc_container::spec::MountSpec;

/// Where its packages mount it.
const PLACES: [&str; 2] = ["/var/lib/lxcfs", "/var/lib/incus-lxcfs"];
/// What is bound, if the version at hand has it.
const FILES: [&str; 8] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "sys/devices/system/cpu/online",
];

/// Where it is served. A daemon that died has left a mount that gives errors.
pub fn place() -> Option<&'static str> {
    let served = |place: &&str| std::fs::read(Path::new(place).join("proc/meminfo")).is_ok();
    PLACES.into_iter().find(served)
}

/// The mounts; none where it does not run. Asks the file system, so it may block.
pub fn mounts() -> Vec<MountSpec> {
    let Some(place) = place() else {
        return Vec::new();
    };
    let mounts = FILES.iter().map(|file| MountSpec {
        source: Path::new(place).join(file),
        target: Path::new("/").join(file),
        readonly: false,
        shift: false,
        recursive: false,
        optional: true,
        file: true,
        beneath: None,
        propagation: String::new(),
        options: String::new(),
    });
    mounts.collect()
}
