//! Where everything of one daemon lives: paths, cgroups, nftables tables and sockets, all derived from `RLXC_DIR`,
//! so that several daemons run side by side.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The directory of a daemon that was told nothing.
pub const DEFAULT_DIR: &str = "/var/lib/rlxc";

/// The paths and names of one daemon.
#[derive(Debug, Clone)]
pub struct Places {
    dir: PathBuf,
    run: PathBuf,
    prefix: String,
}

impl Places {
    /// Derives all names from the daemon's directory, which should be absolute.
    pub fn new(dir: &Path) -> Self {
        let prefix = if dir == Path::new(DEFAULT_DIR) {
            "rlxc".to_owned()
        } else {
            let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
            format!("rlxc-{}", hex::encode(&digest[..4]))
        };
        Self {
            dir: dir.to_owned(),
            run: Path::new("/run").join(&prefix),
            prefix,
        }
    }

    /// What names of kernel objects begin with: `rlxc`, or `rlxc-` and a hash for another directory.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The daemon's own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What dies with the machine.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The SQLite inventory.
    pub fn database(&self) -> PathBuf {
        self.dir.join("database/rlxc.db")
    }

    /// Image files, named by fingerprint.
    pub fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// Uploads and builds that are not done yet; emptied at start-up.
    pub fn scratch(&self) -> PathBuf {
        self.dir.join("scratch")
    }

    /// Backups of an instance that wait to be fetched.
    pub fn instance_backups(&self, instance: i64) -> PathBuf {
        self.dir.join("backups").join(instance.to_string())
    }

    /// A backup of a custom volume that waits to be fetched. It stays one when the volume moves to another pool.
    pub fn volume_backup(&self, backup: i64) -> PathBuf {
        self.dir.join("backups").join(format!("volume-{backup}"))
    }

    /// A storage pool without a `source` of its own.
    pub fn pool(&self, name: &str) -> PathBuf {
        self.dir.join("storage-pools").join(name)
    }

    /// The loop file of a storage pool that has one.
    pub fn pool_disk(&self, name: &str) -> PathBuf {
        self.dir.join("disks").join(format!("{name}.img"))
    }

    /// Logs of an instance.
    pub fn instance_logs(&self, instance: i64) -> PathBuf {
        self.dir.join("logs").join(instance.to_string())
    }

    /// What the TPMs of all instances keep, by the ids of the instances.
    pub fn tpms(&self) -> PathBuf {
        self.dir.join("tpms")
    }

    /// What the TPMs of an instance keep, a directory for each.
    pub fn instance_tpms(&self, instance: i64) -> PathBuf {
        self.tpms().join(instance.to_string())
    }

    /// The API's socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("unix.socket")
    }

    /// The API's socket for users, each of whom has a project of their own.
    pub fn user_socket(&self) -> PathBuf {
        self.dir.join("unix.socket.user")
    }

    /// The lock that keeps a second daemon out.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("rlxcd.lock")
    }

    /// The socket and records of an instance's monitor.
    pub fn instance_run(&self, instance: i64) -> PathBuf {
        self.run.join("instances").join(instance.to_string())
    }

    /// The directory that an instance has as `/dev/lxd` and `/dev/incus`.
    pub fn instance_guest(&self, instance: i64) -> PathBuf {
        self.instance_run(instance).join("guest")
    }

    /// The cgroup of an instance, relative to the daemon's place in the hierarchy.
    pub fn instance_cgroup(&self, instance: i64) -> String {
        format!("{}/{instance}", self.prefix)
    }

    /// State of DHCP and DNS that outlives the machine.
    pub fn networks(&self) -> PathBuf {
        self.dir.join("networks")
    }

    /// State of DHCP and DNS that dies with the machine.
    pub fn networks_run(&self) -> PathBuf {
        self.run.join("networks")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_directory_has_the_plain_name() {
        let places = Places::new(Path::new(DEFAULT_DIR));
        assert_eq!(places.run(), Path::new("/run/rlxc"));
        assert_eq!(places.instance_cgroup(7), "rlxc/7");
    }

    #[test]
    fn two_directories_share_no_name() {
        let (a, b) = (Places::new(Path::new("/a")), Places::new(Path::new("/b")));
        assert_ne!(a.run(), b.run());
        assert_ne!(a.instance_cgroup(1), b.instance_cgroup(1));
    }
}
