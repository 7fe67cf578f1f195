//! The control group that a dnsmasq runs in.

use std::path::Path;

use super::Files;
use super::process;

/// Moves the dnsmasq of a network, made a moment ago in the daemon's group, to one of its own: there nobody takes it
/// for a part of the daemon that was left behind, or kills it with the daemon. Without that it works as well.
pub(super) fn enter(group: &Path, files: &Files) {
    let Some(running) = process::find(&files.pid, &files.config) else {
        return;
    };
    if let Err(error) = running.enter(group) {
        tracing::warn!(group = %group.display(), %error, "dnsmasq stays in the control group of the daemon");
    }
}
