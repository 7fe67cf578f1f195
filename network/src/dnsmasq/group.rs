//! The control group that a dnsmasq runs in, see cgroups(7).

use std::path::Path;

use super::Files;
use super::process;

/// Moves the dnsmasq of a network, made a moment ago in the daemon's group, to one of its own: there nobody takes it
/// for a part of the daemon that was left behind, or kills it with the daemon. Without that it works as well.
pub(super) fn enter(group: &Path, files: &Files) {
    let Some(running) = process::find(&files.pid, &files.config) else {
        return;
    };
    let entered = std::fs::create_dir_all(group)
        .and_then(|()| std::fs::write(group.join("cgroup.procs"), running.pid().to_string()));
    if let Err(error) = entered {
        tracing::warn!(group = %group.display(), %error, "dnsmasq stays in the control group of the daemon");
    }
}

/// Removes the group once the last dnsmasq has left it; while there is another the kernel refuses.
pub(super) fn leave(group: &Path) {
    if let Err(error) = std::fs::remove_dir(group) {
        tracing::debug!(group = %group.display(), %error, "a control group stays");
    }
}
