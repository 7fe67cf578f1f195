//! What is different for a daemon that a service manager has started, see systemd.service(5).

use std::path::{Path, PathBuf};

use rlxc_container::cgroup::Layout;

use crate::places::Places;

/// The control group of programs that outlive the daemon, beside those of instances.
pub(crate) const HELPERS: &str = "helpers";

/// Where programs go that outlive the daemon.
///
/// A service manager takes what is in a service's group for a part of the service: it warns of what is left over when
/// the daemon starts again, and kills it with the daemon if told so. Elsewhere they stay with whoever started the daemon.
pub(crate) fn helpers(layout: &Layout, places: &Places) -> Option<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    is_service(&own).then(|| layout.unified.join(places.prefix()).join(HELPERS))
}

/// Whether the text of `/proc/PID/cgroup` is that of a service's process.
fn is_service(membership: &str) -> bool {
    let unified = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .map(Path::new);
    unified
        .and_then(Path::extension)
        .is_some_and(|kind| kind == "service")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_group() {
        assert!(is_service("0::/system.slice/rlxcd.service\n"));
        assert!(is_service("4:memory:/x\n0::/system.slice/rlxcd.service\n"));
        for other in [
            "0::/",
            "0::/user.slice/user-0.slice/session-1.scope\n",
            "4:memory:/system.slice/rlxcd.service\n",
            "",
        ] {
            assert!(!is_service(other), "{other}");
        }
    }
}
