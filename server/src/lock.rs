//! One daemon a directory: a lock that the kernel gives up when its holder dies; see flock(2).

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};

/// Held for as long as the daemon lives.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock, or says that another daemon has it.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        let file =
            file.map_err(|error| Error::failed(format!("open {}", path.display()), error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let directory = path.parent().unwrap_or(path).display();
                Err(Error::Conflict(format!(
                    "another rlxcd is running on {directory}: end it first, or use another RLXC_DIR"
                )))
            }
            Err(errno) => Err(Error::failed(format!("lock {}", path.display()), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_second_daemon_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = DirectoryLock::take(&path).unwrap();
        assert!(
            DirectoryLock::take(&path)
                .unwrap_err()
                .to_string()
                .contains("another rlxcd")
        );
        drop(first);
        DirectoryLock::take(&path).unwrap();
    }
}
