//! Copies a tree in two steps: most of it while others write to it, the rest once they are frozen, so that they are frozen
//! for the time of a walk and not of a copy.
//!
//! Why that is sound: all that is dirty is written out before the first step begins, and with that every page of a mapped
//! file is write-protected, so that whatever is written afterwards sets the time of change (ctime), which nobody but the
//! kernel can set. The first step takes only files whose ctime is older than its beginning; in the second one those are left
//! alone that have the same inode, size and ctime still. What a mapping wrote to before that ctime was taken is in the
//! copy; what it wrote after it shows a younger one. Files that changed between the beginning and their copy are not old
//! enough to be taken early.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::path;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::{Attributes, Copy, CopyError, DEPTH_LIMIT};

/// The kernel's times are as coarse as its ticks, of 10 ms at most; much more than that.
const MARGIN_NS: i128 = 100_000_000;
/// Fewer files with fewer bytes are copied at once, faster than all that is dirty is written out.
const FEW: u64 = 400;
const SMALL: u64 = 8 << 20;
/// ext4, xfs, btrfs, f2fs; linux/magic.h
const SOUND: [i128; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];

/// What was copied early, and what it looked like then.
#[derive(Debug)]
pub struct Early {
    attributes: Attributes,
    /// Nanoseconds since 1970: what changed after it is copied in the second step.
    begun: i128,
    taken: HashMap<PathBuf, Seen>,
}

/// What tells that a file is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    size: i64,
    changed: i128,
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.st_ino,
            size: stat.st_size,
            changed: i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec),
        }
    }
}

fn now() -> i128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i128::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(0)
}

/// Whether two steps are better than one: there must be enough in the tree, and its file system must write-protect what it
/// has written out. One in memory never writes anything out.
pub fn is_worth_it(tree: impl AsFd) -> Result<bool, CopyError> {
    let failed = |errno| FileError::new("look at", ".", errno);
    let kind = rustix::fs::fstatfs(&tree).map_err(failed)?.f_type;
    if !SOUND.contains(&i128::from(kind)) {
        return Ok(false);
    }
    let mut copy = Copy::into_root(tree.as_fd(), Attributes::Content);
    let (mut files, mut bytes) = (FEW, SMALL);
    Ok(!copy.count(tree.as_fd(), &mut files, &mut bytes, 0)?)
}

/// The first step. `to` is empty.
pub fn copy_early(
    from: impl AsFd,
    to: impl AsFd,
    attributes: Attributes,
) -> Result<Early, CopyError> {
    let mut early = Early {
        attributes,
        begun: now() - MARGIN_NS,
        taken: HashMap::new(),
    };
    rustix::fs::syncfs(&from).map_err(|errno| FileError::new("sync", ".", errno))?;
    let mut copy = Copy::into_root(to.as_fd(), attributes);
    copy.early(from.as_fd(), to.as_fd(), &mut early, 0)?;
    Ok(early)
}

impl Early {
    /// The second step: nobody writes to `from`.
    pub fn finish(self, from: impl AsFd, to: impl AsFd) -> Result<(), CopyError> {
        let mut copy = Copy::into_root(to.as_fd(), self.attributes);
        copy.rest(from.as_fd(), to.as_fd(), &self, 0)
    }

    fn still_holds(&self, path: &PathBuf, stat: &Stat) -> bool {
        self.taken.get(path) == Some(&Seen::of(stat))
    }
}

fn is_gone(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::STALE
    )
}

fn look(entry: Entry<'_>) -> Result<Stat, Errno> {
    rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

impl Copy<'_> {
    fn refuse_depth(&self, depth: usize) -> Result<(), CopyError> {
        if depth > DEPTH_LIMIT {
            let path = self.path.clone();
            return Err(CopyError::TooDeep { path });
        }
        Ok(())
    }

    /// False once more was counted than is left of `files` and `bytes`.
    fn count(
        &mut self,
        tree: BorrowedFd<'_>,
        files: &mut u64,
        bytes: &mut u64,
        depth: usize,
    ) -> Result<bool, CopyError> {
        self.refuse_depth(depth)?;
        for name in self.names(tree)? {
            let entry = Entry {
                dir: tree,
                name: &name,
            };
            let stat = match look(entry) {
                Err(errno) if is_gone(errno) => continue,
                other => other.map_err(self.error("look at"))?,
            };
            let size = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            let (Some(fewer), Some(less)) = (files.checked_sub(1), bytes.checked_sub(size)) else {
                return Ok(false);
            };
            (*files, *bytes) = (fewer, less);
            if is_directory(&stat)
                && let Ok(inner) = self.open(entry)
                && !self.count(inner.as_fd(), files, bytes, depth + 1)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn early(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        early: &mut Early,
        depth: usize,
    ) -> Result<(), CopyError> {
        self.refuse_depth(depth)?;
        for name in self.names(from)? {
            self.path.push(&name);
            let (source, target) = (
                Entry {
                    dir: from,
                    name: &name,
                },
                Entry {
                    dir: to,
                    name: &name,
                },
            );
            match look(source) {
                Ok(stat) if is_directory(&stat) => {
                    if let Ok(inner) = self.open(source) {
                        self.make_directory(target)?;
                        let made = self.open(target)?;
                        self.early(inner.as_fd(), made.as_fd(), early, depth + 1)?;
                    }
                }
                Ok(stat) => self.take_file(source, target, &stat, early)?,
                // What is gone, or can't be looked at, is the second step's affair.
                Err(_) => {}
            }
            self.path.pop();
        }
        Ok(())
    }

    fn take_file(
        &mut self,
        from: Entry<'_>,
        to: Entry<'_>,
        stat: &Stat,
        early: &mut Early,
    ) -> Result<(), CopyError> {
        let seen = Seen::of(stat);
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        // Those with several names are copied together.
        if !is_file || stat.st_nlink > 1 || seen.changed >= early.begun {
            return Ok(());
        }
        let copied = self
            .regular(from, to, stat)
            .map_err(CopyError::from)
            .and_then(|()| self.finish(from, to, stat));
        let unchanged = look(from).is_ok_and(|now| Seen::of(&now) == seen);
        match copied {
            Ok(()) if unchanged => {
                early.taken.insert(self.path.clone(), seen);
                Ok(())
            }
            Err(error) if unchanged => Err(error),
            // It was changed or removed in the middle of this.
            _ => Ok(path::remove_tree(to.dir, to.name)?),
        }
    }

    pub(super) fn make_directory(&self, entry: Entry<'_>) -> Result<(), FileError> {
        let made = rustix::fs::mkdirat(entry.dir, entry.name, rustix::fs::Mode::from(0o700));
        made.map_err(self.error("create directory"))
    }

    fn rest(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        early: &Early,
        depth: usize,
    ) -> Result<(), CopyError> {
        self.refuse_depth(depth)?;
        let wanted = self.names(from)?;
        let there: BTreeSet<OsString> = self.names(to)?;
        for name in there.difference(&wanted) {
            path::remove_tree(to, name)?;
        }
        for name in &wanted {
            self.path.push(name);
            let (source, target) = (Entry { dir: from, name }, Entry { dir: to, name });
            let stat = look(source).map_err(self.error("look at"))?;
            if is_directory(&stat) {
                if !there.contains(name) || !look(target).is_ok_and(|stat| is_directory(&stat)) {
                    path::remove_tree(to, name)?;
                    self.make_directory(target)?;
                }
                let (inner, made) = (self.open(source)?, self.open(target)?);
                self.rest(inner.as_fd(), made.as_fd(), early, depth + 1)?;
            } else if !early.still_holds(&self.path, &stat) {
                if there.contains(name) {
                    path::remove_tree(to, name)?;
                }
                self.entry(source, target, depth)?;
            }
            self.path.pop();
        }
        let stat = rustix::fs::fstat(from).map_err(self.error("look at"))?;
        let dot = std::ffi::OsStr::new(".");
        self.finish(
            Entry {
                dir: from,
                name: dot,
            },
            Entry { dir: to, name: dot },
            &stat,
        )
    }
}
