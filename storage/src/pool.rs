//! The directory of a pool: what is where, who has it open, what driver it belongs to.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, Durability, FileError};
use rlxc_sys::rollback::Rollback;
use serde::{Deserialize, Serialize};

use crate::driver::{Usage, projects};
use crate::error::Cause;
use crate::trash::{Remove, Scratch, Trash};
use crate::volume::{VolumeKind, VolumeRef};

/// A pool to create or to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// Its name, for errors.
    pub name: String,
    /// One of [`crate::DRIVERS`].
    pub driver: String,
    /// Its directory, absolute.
    pub source: PathBuf,
    /// The loop file or block device with a file system of its own, which is mounted at `source`; the driver `btrfs`
    /// makes the file system.
    pub device: Option<PathBuf>,
    /// Its configuration keys; those that a driver has no use for are left alone.
    pub config: BTreeMap<String, String>,
}

/// `pool.json`: says whose directory this is.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    format: u32,
    driver: String,
}

const LABEL: &str = "pool.json";
const DIRS: [&str; 6] = [
    "images",
    "containers",
    "custom",
    "layers",
    "snapshots",
    "tmp",
];

/// What drivers do each in their way.
pub(crate) struct Rules {
    /// Whether the file system of a directory will do.
    pub(crate) check: fn(&Path) -> Result<(), Cause>,
    /// Removes what was thrown away, by its name in a directory.
    pub(crate) remove: Remove,
}

impl Rules {
    /// Any file system, and nothing in it but files and directories.
    pub(crate) const PLAIN: Self = Self {
        check: |_| Ok(()),
        remove: |dir, name| rlxc_sys::path::remove_tree(dir, name),
    };
}

/// An open pool directory, locked against other processes.
#[derive(Debug)]
pub(crate) struct PoolDir {
    pub(crate) name: String,
    pub(crate) source: PathBuf,
    pub(crate) trash: Trash,
    /// Whether trees can be limited by project quotas.
    pub(crate) has_projects: bool,
    _lock: File,
}

impl PoolDir {
    /// Lays out a new pool where `check` finds nothing wrong with the file system; all or nothing.
    pub(crate) fn create(spec: &PoolSpec, rules: &Rules) -> Result<Self, Cause> {
        let mut rollback = Rollback::new("create pool");
        if !spec.source.is_dir() {
            file::ensure_dir(&spec.source, 0o711)?;
            rollback.push("remove directory", || std::fs::remove_dir(&spec.source));
        }
        if spec.source.join(LABEL).exists() {
            return Err(Cause::AlreadyThere {
                what: format!("a pool in `{}`", spec.source.display()),
            });
        }
        Self::refuse_foreign_files(&spec.source)?;
        (rules.check)(&spec.source)?;
        for dir in DIRS {
            // 0700: a container's setuid programs are nothing for the host's users.
            let path = spec.source.join(dir);
            file::ensure_dir(&path, 0o700)?;
            rollback.push("remove directory", || std::fs::remove_dir(path));
        }
        Self::label(spec)?;
        rollback.commit();
        Self::open(spec, rules)
    }

    /// Comes last: without its label a directory is not a pool.
    fn label(spec: &PoolSpec) -> Result<(), Cause> {
        let path = spec.source.join(LABEL);
        let label = Label {
            format: 1,
            driver: spec.driver.clone(),
        };
        let text = serde_json::to_vec(&label).map_err(|source| Cause::Parse {
            path: path.clone(),
            source,
        })?;
        file::write_atomic(&path, &text, 0o600, Durability::Durable)?;
        Ok(())
    }

    /// What an earlier, interrupted creation left may be there; `lost+found` is what an empty ext4 begins with.
    fn refuse_foreign_files(source: &Path) -> Result<(), Cause> {
        let ours =
            |name: &std::ffi::OsString| name == "lost+found" || DIRS.iter().any(|dir| name == dir);
        if file::list_dir(source)?.iter().all(ours) {
            return Ok(());
        }
        Err(Cause::NotEmpty {
            path: source.to_owned(),
        })
    }

    pub(crate) fn open(spec: &PoolSpec, rules: &Rules) -> Result<Self, Cause> {
        let path = spec.source.join(LABEL);
        let lock = match file::open(&path) {
            Err(error) if error.is_not_found() => {
                return Err(Cause::NotFound {
                    what: format!("a pool in `{}`", spec.source.display()),
                });
            }
            other => other?,
        };
        let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(&lock, operation).map_err(|errno| match errno {
            rustix::io::Errno::WOULDBLOCK => Cause::Locked {
                path: spec.source.clone(),
            },
            errno => FileError::new("lock", &path, errno).into(),
        })?;
        let label: Label = parse_json(&path)?;
        if label.driver != spec.driver {
            return Err(Cause::OtherDriver {
                path: spec.source.clone(),
                found: label.driver,
            });
        }
        for dir in DIRS {
            keep_apart(&spec.source.join(dir));
        }
        Ok(Self {
            name: spec.name.clone(),
            source: spec.source.clone(),
            trash: Trash::open(&spec.source.join("tmp"), rules.remove)?,
            has_projects: projects::are_enforced(&spec.source),
            _lock: lock,
        })
    }

    /// Whether it is still there: a disk may have been taken away.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        if self.source.join(LABEL).is_file() {
            return Ok(());
        }
        Err(Cause::NotFound {
            what: format!("a pool in `{}`", self.source.display()),
        })
    }

    /// Takes the pool out of use at once: the label goes first, the rest off the caller's path.
    pub(crate) fn delete(&self) -> Result<(), Cause> {
        file::remove(&self.source.join(LABEL))?;
        for dir in DIRS.iter().filter(|dir| **dir != "tmp") {
            self.trash.take(&self.source.join(dir))?;
        }
        Ok(())
    }

    pub(crate) fn usage(&self) -> Result<Usage, Cause> {
        let stat = rustix::fs::statvfs(&self.source)
            .map_err(|errno| FileError::new("measure", &self.source, errno))?;
        Ok(Usage {
            space_total: stat.f_blocks * stat.f_frsize,
            space_used: (stat.f_blocks - stat.f_bfree) * stat.f_frsize,
            inodes_total: stat.f_files,
            inodes_used: stat.f_files - stat.f_ffree,
        })
    }

    /// Empty where trees can be limited.
    pub(crate) fn why_no_quota(&self) -> &'static str {
        if self.has_projects {
            ""
        } else {
            projects::LACKING
        }
    }

    /// Makes a directory a project of its own, where that means something.
    pub(crate) fn begin_project(&self, directory: &Path) -> Result<(), FileError> {
        if self.has_projects {
            projects::begin(directory)?;
        }
        Ok(())
    }

    pub(crate) fn image(&self, fingerprint: &str) -> PathBuf {
        self.source.join("images").join(fingerprint)
    }

    pub(crate) fn volume(&self, volume: VolumeRef) -> PathBuf {
        self.source
            .join(volume.kind.dir())
            .join(volume.id.to_string())
    }

    /// Puts a directory in place. False if something has the name already.
    pub(crate) fn place(made: Scratch<'_>, to: &Path) -> Result<bool, FileError> {
        match made.place(to) {
            Err(error) if is_taken(&error) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// The same, and its name is on disk then. Content is the caller's affair.
    pub(crate) fn place_for_good(made: Scratch<'_>, to: &Path) -> Result<bool, FileError> {
        let placed = Self::place(made, to)?;
        if placed {
            to.parent().map_or(Ok(()), file::sync_dir)?;
        }
        Ok(placed)
    }

    /// Numbers of all volumes that have a directory.
    pub(crate) fn volumes(&self) -> Result<Vec<VolumeRef>, FileError> {
        let mut volumes = Vec::new();
        for kind in VolumeKind::ALL {
            let names = file::list_dir(&self.source.join(kind.dir()))?;
            let ids = names.iter().filter_map(|name| name.to_str()?.parse().ok());
            volumes.extend(ids.map(|id| VolumeRef { kind, id }));
        }
        volumes.sort();
        Ok(volumes)
    }
}

/// Tells ext4 that what is in a directory belongs together no more than the directories of the root do: each gets a place of
/// its own, see chattr(1), `T`. It would put all of them in one place, where making files is slow for minutes after many were
/// removed, since it takes no number of an inode again that soon and looks at all of them for each file. Other file systems
/// know no such flag.
fn keep_apart(dir: &Path) {
    let Ok(dir) = File::open(dir) else { return };
    if let Ok(flags) = rustix::fs::ioctl_getflags(&dir) {
        let _unknown = rustix::fs::ioctl_setflags(&dir, flags | rustix::fs::IFlags::TOPDIR);
    }
}

fn is_taken(error: &FileError) -> bool {
    use std::io::ErrorKind;
    let kind = error.source.kind();
    matches!(
        kind,
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists
    )
}

/// The driver of the pool that a directory is, if it is one.
pub fn driver_at(directory: &Path) -> Option<String> {
    let label: Label = parse_json(&directory.join(LABEL)).ok()?;
    Some(label.driver)
}

/// Reads a file of the pool's own.
pub(crate) fn parse_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Cause> {
    let bytes = file::read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| Cause::Parse {
        path: path.to_owned(),
        source,
    })
}

/// Bytes that trees take on disk, each inode counted once.
pub(crate) fn disk_usage(trees: Vec<PathBuf>) -> Result<u64, FileError> {
    use std::os::unix::fs::MetadataExt;
    let mut linked = std::collections::HashSet::new();
    let mut waiting = trees;
    let mut bytes = 0;
    while let Some(dir) = waiting.pop() {
        let failed = |error| FileError::new("list", &dir, error);
        let entries = match std::fs::read_dir(&dir) {
            // Guests remove things while we look.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let Ok(stat) = entry.metadata() else { continue };
            if stat.nlink() == 1 || stat.is_dir() || linked.insert(stat.ino()) {
                bytes += stat.blocks() * 512;
            }
            if stat.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(bytes)
}
