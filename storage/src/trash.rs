//! Removal off the user's path: a tree is renamed away at once and taken apart by a thread, later.
//!
//! What the thread had no time for is found by the next [`Trash::open`]: everything in the directory is garbage.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;

use rlxc_sys::chain::chain;
use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;

/// Removes what has a name in a directory, with all below it; what is gone already is no error.
pub(crate) type Remove = fn(&OwnedFd, &OsStr) -> Result<(), FileError>;

/// A directory for half-made and half-removed things, on the file system of the pool.
#[derive(Debug)]
pub(crate) struct Trash {
    dir: PathBuf,
    prefix: String,
    count: AtomicU64,
    queue: Option<Sender<OsString>>,
    thread: Option<JoinHandle<()>>,
}

impl Trash {
    /// Takes over `dir` and starts to remove all that is in it.
    pub(crate) fn open(dir: &Path, remove: Remove) -> Result<Self, FileError> {
        let fd = path::open_dir(dir)?;
        let (queue, jobs) = std::sync::mpsc::channel();
        for name in file::list_dir(dir)? {
            // The receiver lives in this function still.
            drop(queue.send(name));
        }
        let thread = std::thread::Builder::new()
            .name("rlxc-trash".into())
            .spawn(move || remove_all(&fd, &jobs, remove))
            .map_err(|error| FileError::new("start the thread that empties", dir, error))?;
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Self {
            dir: dir.to_owned(),
            prefix: format!("{}-{}", std::process::id(), now.as_nanos()),
            count: AtomicU64::new(0),
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    fn fresh_name(&self) -> OsString {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{}-{count}", self.prefix).into()
    }

    /// A new empty directory to make something in; dropped unless it was moved away.
    pub(crate) fn scratch(&self) -> Result<Scratch<'_>, FileError> {
        let scratch = self.reserve();
        file::create_dir(&scratch.path, 0o700)?;
        Ok(scratch)
    }

    /// Takes over what somebody kept, see [`Scratch::keep`].
    pub(crate) fn adopt(&self, path: PathBuf) -> Scratch<'_> {
        Scratch { trash: self, path }
    }

    /// The same without the directory: what the caller makes there is dropped unless it was moved away.
    pub(crate) fn reserve(&self) -> Scratch<'_> {
        let path = self.dir.join(self.fresh_name());
        Scratch { trash: self, path }
    }

    /// Takes `path` out of its place in one step; one that is not there is no error. True if it was there.
    pub(crate) fn take(&self, path: &Path) -> Result<bool, FileError> {
        let name = self.fresh_name();
        match file::rename(path, &self.dir.join(&name)) {
            Ok(()) => {
                self.enqueue(name);
                Ok(true)
            }
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn enqueue(&self, name: OsString) {
        if let Some(queue) = &self.queue {
            // Without the thread the tree waits for the next start.
            drop(queue.send(name));
        }
    }
}

impl Drop for Trash {
    /// Waits for what is queued, so that a pool that was closed is left alone.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed already.
            drop(thread.join());
        }
    }
}

fn remove_all(dir: &OwnedFd, jobs: &Receiver<OsString>, remove: Remove) {
    for name in jobs {
        if let Err(error) = remove(dir, &name) {
            tracing::warn!(name = %name.display(), error = %chain(&error), "removal is put off to the next start");
        }
    }
}

/// A directory in the making; removed when it is dropped before it was put in place.
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    trash: &'a Trash,
    path: PathBuf,
}

impl Scratch<'_> {
    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it for later, when it is taken over by [`Trash::adopt`]; a crash removes it like all that is in the trash.
    pub(crate) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }

    /// Puts it, or something in it, in place: one rename.
    pub(crate) fn place(self, to: &Path) -> Result<(), FileError> {
        // What is dropped afterwards is a name that is not there any more.
        file::rename(&self.path, to)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if let (true, Some(name)) = (self.path.exists(), self.path.file_name()) {
            self.trash.enqueue(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_an_earlier_process_left_and_what_is_taken() {
        let base = tempfile::tempdir().unwrap();
        let dir = base.path().join("tmp");
        std::fs::create_dir_all(dir.join("old/tree")).unwrap();
        std::fs::create_dir_all(base.path().join("volume/rootfs")).unwrap();
        let trash = Trash::open(&dir, |dir, name| path::remove_tree(dir, name)).unwrap();
        assert!(trash.take(&base.path().join("volume")).unwrap());
        assert!(!trash.take(&base.path().join("volume")).unwrap());
        drop(trash.scratch().unwrap());
        let kept = trash.scratch().unwrap();
        kept.place(&base.path().join("kept")).unwrap();
        drop(trash);
        assert_eq!(file::list_dir(&dir).unwrap().len(), 0);
        assert_eq!(file::list_dir(base.path()).unwrap(), ["kept", "tmp"]);
    }
}
