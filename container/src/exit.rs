//! How a container ended, and the record of an end that nobody was there to hear.

use std::fs;
use std::io;
use std::path::Path;

use rlxc_sys::pidfd::Ended;
use serde::{Deserialize, Serialize};

const FILE: &str = "exit.json";
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;

/// Why process 1 is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ExitCause {
    /// It powered off.
    Halt,
    /// It asked to be started again.
    Reboot,
    /// A signal killed it.
    Signal {
        /// Which one.
        signal: i32,
    },
    /// It ended by itself.
    Exit {
        /// Its exit code.
        code: i32,
    },
}

impl From<Ended> for ExitCause {
    /// reboot(2) in a PID namespace ends its init as if by SIGHUP for a restart and by SIGINT for all else.
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Killed(SIGHUP) => Self::Reboot,
            Ended::Killed(SIGINT) => Self::Halt,
            Ended::Killed(signal) => Self::Signal { signal },
            Ended::Exited(code) => Self::Exit { code },
        }
    }
}

/// What a monitor writes before it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ExitRecord {
    /// The instance.
    pub instance: String,
    /// Why.
    pub cause: ExitCause,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl ExitRecord {
    /// Writes it into the runtime directory: whole or not at all.
    pub fn write(&self, runtime_dir: &Path) -> io::Result<()> {
        let temporary = runtime_dir.join("exit.json.new");
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(temporary, runtime_dir.join(FILE))
    }

    /// Reads the one in a runtime directory; `None` if there is none.
    pub fn read(runtime_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(runtime_dir.join(FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes it before the next start.
    pub fn remove(runtime_dir: &Path) -> io::Result<()> {
        match fs::remove_file(runtime_dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_reboot_from_power_off() {
        assert_eq!(ExitCause::from(Ended::Killed(1)), ExitCause::Reboot);
        assert_eq!(ExitCause::from(Ended::Killed(2)), ExitCause::Halt);
        assert_eq!(
            ExitCause::from(Ended::Killed(9)),
            ExitCause::Signal { signal: 9 }
        );
    }

    #[test]
    fn is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), None);
        let record = ExitRecord {
            instance: "7".to_owned(),
            cause: ExitCause::Exit { code: 3 },
            at: 12,
        };
        record.write(dir.path()).unwrap();
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), Some(record));
        ExitRecord::remove(dir.path()).unwrap();
        ExitRecord::remove(dir.path()).unwrap();
        assert_eq!(ExitRecord::read(dir.path()).unwrap(), None);
    }
}
