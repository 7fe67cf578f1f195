//! The dnsmasq process of a network, known by its configuration file.

use std::path::Path;

use rlxc_sys::background::{self, Background};

use super::config::file_argument;
use crate::Error;

const SIGHUP: i32 = 1;

/// Finds the process that was started with this configuration file.
pub(super) fn find(pid_file: &Path, config: &Path) -> Option<Background> {
    background::find(pid_file, &file_argument(config))
}

/// Makes it read its hosts again.
pub(super) fn reload(pid_file: &Path, config: &Path) -> Result<(), Error> {
    signalled(find(pid_file, config), |running| running.signal(SIGHUP))
}

/// Ends it and waits until it is gone.
pub(super) fn stop(pid_file: &Path, config: &Path) -> Result<(), Error> {
    signalled(find(pid_file, config), Background::end)
}

fn signalled(
    running: Option<Background>,
    signal: impl FnOnce(&Background) -> std::io::Result<()>,
) -> Result<(), Error> {
    let Some(running) = running else {
        return Ok(());
    };
    let pid = running.pid();
    signal(&running).map_err(|source| Error::Signal { pid, source })
}
