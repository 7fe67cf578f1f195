//! The program `rlxc-monitor`: found and opened once, so that an upgrade on disk never mixes versions.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::RuntimeError;

const NAME: &str = "rlxc-monitor";
const DIRECTORIES: [&str; 2] = ["/usr/local/libexec/rlxc", "/usr/libexec/rlxc"];

/// The opened program.
#[derive(Debug)]
pub(super) struct MonitorBinary {
    path: PathBuf,
    file: File,
}

impl MonitorBinary {
    /// Looks beside the running program first.
    pub(super) fn open() -> Result<Self, RuntimeError> {
        let own = std::env::current_exe().ok();
        let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
        // As `make install` lays them out below any prefix: bin/rlxcd, libexec/rlxc/rlxc-monitor.
        let below_prefix = beside
            .as_deref()
            .and_then(Path::parent)
            .map(|prefix| prefix.join("libexec/rlxc"));
        let directories: Vec<PathBuf> = beside
            .into_iter()
            .chain(below_prefix)
            .chain(DIRECTORIES.map(PathBuf::from))
            .collect();
        for directory in &directories {
            let path = directory.join(NAME);
            match File::open(&path) {
                Ok(file) => return Ok(Self { path, file }),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(RuntimeError::Spawn {
                        program: path,
                        source,
                    });
                }
            }
        }
        Err(RuntimeError::MonitorMissing {
            looked_in: directories
                .iter()
                .map(|directory| directory.display().to_string())
                .collect(),
        })
    }

    /// Runs it with a socket as its stdin and waits for the launcher to detach; blocks for about a millisecond.
    pub(super) fn launch(&self, title: &str, socket: OwnedFd) -> Result<(), RuntimeError> {
        let spawn_error = |source| RuntimeError::Spawn {
            program: self.path.clone(),
            source,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "executes an open file, not a tool of the host"
        )]
        let mut command = Command::new(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        let mut launcher = command
            .arg0(title)
            .env_clear()
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(spawn_error)?;
        // Our copy of the socket's other end: the monitor's must be the only one, or its death would not show.
        drop(command);
        launcher.wait().map_err(spawn_error).map(drop)
    }
}
