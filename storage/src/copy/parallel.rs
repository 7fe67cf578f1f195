//! Copies a tree by several threads: one walks and makes directories, links and what has several names, the others copy plain
//! files. What a directory itself is follows once all in it is made: that changes its times, and would inherit its ACL. Whoever
//! lets go of a directory last sees to it, so that no more of them are held than are in work.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::interrupt;
use rustix::fs::{AtFlags, Dir, FileType, Stat};

use super::{Attributes, Copy, CopyError, DEPTH_LIMIT};

/// So few files are copied faster than threads are started. So many wait for the threads, each with two descriptors.
const FEW: usize = 64;
/// More threads wait for each other in the file system.
const MOST_THREADS: usize = 8;

/// Larger files are copied by the thread that walks: only that can be told to break off.
const LARGE: i64 = 64 << 20;

/// A directory that is copied, and its copy.
struct Directory {
    from: OwnedFd,
    to: OwnedFd,
    stat: Stat,
    path: PathBuf,
}

impl Directory {
    fn new(from: OwnedFd, to: OwnedFd, copy: &Copy<'_>) -> Result<Arc<Self>, CopyError> {
        let stat = rustix::fs::fstat(&from).map_err(copy.error("look at"))?;
        let path = copy.path.clone();
        Ok(Arc::new(Self {
            from,
            to,
            stat,
            path,
        }))
    }

    /// Whoever is the last gives the copy its owner, mode, attributes and times.
    fn let_go(this: Arc<Self>, attributes: Attributes) -> Result<(), CopyError> {
        let Some(last) = Arc::into_inner(this) else {
            return Ok(());
        };
        let mut copy = Copy::into_root(last.to.as_fd(), attributes);
        copy.path = last.path;
        let (from, to) = (entry_itself(&last.from), entry_itself(&last.to));
        copy.finish(from, to, &last.stat)
    }
}

fn entry_itself(directory: &OwnedFd) -> Entry<'_> {
    Entry::new(directory, OsStr::new("."))
}

/// A plain file to be copied.
struct File {
    directory: Arc<Directory>,
    name: OsString,
    stat: Stat,
    path: PathBuf,
}

/// Copies all that is in the directory `from` into the directory `to`, and the attributes of `from` itself.
///
/// Nothing in `from` is followed. Other file systems mounted below are copied as what they show.
pub fn copy_tree(from: impl AsFd, to: impl AsFd, attributes: Attributes) -> Result<(), CopyError> {
    let shared = Shared::default();
    let walked = std::thread::scope(|scope| {
        let mut walk = Walk {
            copy: Copy::into_root(to.as_fd(), attributes),
            files: Files::Few(Vec::new()),
            scope,
            shared: &shared,
        };
        let root = Directory::new(own(from.as_fd())?, own(to.as_fd())?, &walk.copy)?;
        walk.directory(root, 0)?;
        walk.finish()
    });
    shared.result()?;
    walked
}

fn own(directory: BorrowedFd<'_>) -> Result<OwnedFd, FileError> {
    let owned = directory.try_clone_to_owned();
    owned.map_err(|error| FileError::new("open", ".", error))
}

/// The first thing that went wrong.
#[derive(Default)]
struct Shared {
    error: Mutex<Option<CopyError>>,
}

impl Shared {
    fn has_failed(&self) -> bool {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        error.is_some()
    }

    fn fail(&self, error: CopyError) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    fn result(self) -> Result<(), CopyError> {
        let error = self.error.into_inner();
        error
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Ok(()), Err)
    }
}

/// Files that were found: kept while they are few, handed to threads once there are more.
enum Files {
    Few(Vec<File>),
    Many(SyncSender<File>),
}

struct Walk<'scope, 'env, 'a> {
    copy: Copy<'a>,
    files: Files,
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared,
}

impl Walk<'_, '_, '_> {
    fn directory(&mut self, directory: Arc<Directory>, depth: usize) -> Result<(), CopyError> {
        if depth > DEPTH_LIMIT {
            let path = self.copy.path.clone();
            return Err(CopyError::TooDeep { path });
        }
        for entry in Dir::read_from(&directory.from).map_err(self.copy.error("list"))? {
            let entry = entry.map_err(self.copy.error("list"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.copy.path.push(name);
                self.entry(&directory, name, depth)?;
                self.copy.path.pop();
            }
        }
        Directory::let_go(directory, self.copy.attributes)
    }

    fn entry(
        &mut self,
        directory: &Arc<Directory>,
        name: &OsStr,
        depth: usize,
    ) -> Result<(), CopyError> {
        interrupt::check().map_err(|error| FileError::new("copy", &self.copy.path, error))?;
        let Directory { from, to, .. } = &**directory;
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.copy.error("look at"))?;
        let (source, target) = (Entry::new(from, name), Entry::new(to, name));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = self.copy.open(source)?;
                self.copy.make_directory(target)?;
                let made = self.copy.open(target)?;
                let inner = Directory::new(inner, made, &self.copy)?;
                self.directory(inner, depth + 1)
            }
            FileType::RegularFile if stat.st_nlink == 1 && stat.st_size < LARGE => {
                self.file(File {
                    directory: Arc::clone(directory),
                    name: name.to_owned(),
                    stat,
                    path: self.copy.path.clone(),
                })
            }
            _ => self.copy.entry(source, target, depth),
        }
    }

    fn file(&mut self, file: File) -> Result<(), CopyError> {
        match &mut self.files {
            Files::Few(files) if files.len() < FEW => {
                files.push(file);
                return Ok(());
            }
            Files::Few(files) => {
                let files = std::mem::take(files);
                let queue = self.start();
                for file in files.into_iter().chain([file]) {
                    // The threads live as long as the queue.
                    drop(queue.send(file));
                }
                self.files = Files::Many(queue);
            }
            Files::Many(queue) => drop(queue.send(file)),
        }
        if self.shared.has_failed() {
            // Which error it is, is told when the threads have ended.
            let stopped = std::io::Error::other("another file failed");
            return Err(FileError::new("copy", &self.copy.path, stopped).into());
        }
        Ok(())
    }

    fn start(&self) -> SyncSender<File> {
        let (queue, jobs) = std::sync::mpsc::sync_channel(FEW);
        let jobs = Arc::new(Mutex::new(jobs));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads.min(MOST_THREADS) {
            let (jobs, shared) = (Arc::clone(&jobs), self.shared);
            let attributes = self.copy.attributes;
            self.scope.spawn(move || work(&jobs, shared, attributes));
        }
        queue
    }

    /// Few files are still to be copied; many are on their way.
    fn finish(self) -> Result<(), CopyError> {
        if let Files::Few(files) = self.files {
            for file in files {
                file.copy(self.copy.attributes)?;
            }
        }
        Ok(())
    }
}

fn work(jobs: &Mutex<Receiver<File>>, shared: &Shared, attributes: Attributes) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(file) = next else { return };
        // What is queued is taken in any case: the walk waits for room.
        if !shared.has_failed()
            && let Err(error) = file.copy(attributes)
        {
            shared.fail(error);
        }
    }
}

impl File {
    fn copy(self, attributes: Attributes) -> Result<(), CopyError> {
        let Directory { from, to, .. } = &*self.directory;
        let mut copy = Copy::into_root(to.as_fd(), attributes);
        copy.path = self.path;
        let name = self.name.as_os_str();
        let (from, to) = (Entry::new(from, name), Entry::new(to, name));
        copy.regular(from, to, &self.stat)?;
        copy.finish(from, to, &self.stat)?;
        Directory::let_go(self.directory, attributes)
    }
}
