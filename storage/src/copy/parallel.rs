//! Copies a tree by several threads: one walks and makes directories, links and what has several names, the others copy plain
//! files. What a directory itself is follows at the end: what is made in it changes its times, and would inherit its ACL.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::interrupt;
use rlxc_sys::path::{self, Resolve};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::{Attributes, Copy, CopyError, DEPTH_LIMIT};

/// So few files are copied faster than threads are started. So many wait for the threads, each with two descriptors.
const FEW: usize = 64;
/// More threads wait for each other in the file system.
const MOST_THREADS: usize = 8;

/// Larger files are copied by the thread that walks: only that can be told to break off.
const LARGE: i64 = 64 << 20;

/// A plain file to be copied.
struct File {
    from: Arc<OwnedFd>,
    to: Arc<OwnedFd>,
    name: OsString,
    stat: Stat,
    path: PathBuf,
}

/// Copies all that is in the directory `from` into the directory `to`, and the attributes of `from` itself.
///
/// Nothing in `from` is followed. Other file systems mounted below are copied as what they show.
pub fn copy_tree(from: impl AsFd, to: impl AsFd, attributes: Attributes) -> Result<(), CopyError> {
    let roots = (own(from.as_fd())?, own(to.as_fd())?);
    let shared = Shared::default();
    let walked = std::thread::scope(|scope| {
        let mut walk = Walk {
            copy: Copy::into_root(to.as_fd(), attributes),
            directories: Vec::new(),
            files: Files::Few(Vec::new()),
            scope,
            shared: &shared,
        };
        walk.directory(&roots.0, &roots.1, 0)?;
        walk.finish()
    });
    shared.result()?;
    let directories: Vec<(PathBuf, Stat)> = walked?;
    let mut copy = Copy::into_root(to.as_fd(), attributes);
    // Those in others come first.
    for (path, stat) in directories.iter().rev() {
        copy.path.clone_from(path);
        let (from, to) = (open(&roots.0, path)?, open(&roots.1, path)?);
        let dot = OsStr::new(".");
        copy.finish(Entry::new(&from, dot), Entry::new(&to, dot), stat)?;
    }
    Ok(())
}

fn own(directory: BorrowedFd<'_>) -> Result<Arc<OwnedFd>, FileError> {
    let owned = directory.try_clone_to_owned();
    owned
        .map(Arc::new)
        .map_err(|error| FileError::new("open", ".", error))
}

fn open(root: &Arc<OwnedFd>, path: &Path) -> Result<OwnedFd, FileError> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    path::open_beneath(root, path, flags, Mode::empty(), Resolve::NoSymlinks)
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
    /// Paths of all directories, each after the one that it is in.
    directories: Vec<(PathBuf, Stat)>,
    files: Files,
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared,
}

impl Walk<'_, '_, '_> {
    fn directory(
        &mut self,
        from: &Arc<OwnedFd>,
        to: &Arc<OwnedFd>,
        depth: usize,
    ) -> Result<(), CopyError> {
        if depth > DEPTH_LIMIT {
            let path = self.copy.path.clone();
            return Err(CopyError::TooDeep { path });
        }
        let stat = rustix::fs::fstat(from).map_err(self.copy.error("look at"))?;
        self.directories.push((self.copy.path.clone(), stat));
        for entry in Dir::read_from(from).map_err(self.copy.error("list"))? {
            let entry = entry.map_err(self.copy.error("list"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                self.copy.path.push(name);
                self.entry((from, to), name, depth)?;
                self.copy.path.pop();
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        (from, to): (&Arc<OwnedFd>, &Arc<OwnedFd>),
        name: &OsStr,
        depth: usize,
    ) -> Result<(), CopyError> {
        interrupt::check().map_err(|error| FileError::new("copy", &self.copy.path, error))?;
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.copy.error("look at"))?;
        let (source, target) = (Entry::new(from, name), Entry::new(to, name));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let inner = Arc::new(self.copy.open(source)?);
                self.copy.make_directory(target)?;
                let made = Arc::new(self.copy.open(target)?);
                self.directory(&inner, &made, depth + 1)
            }
            FileType::RegularFile if stat.st_nlink == 1 && stat.st_size < LARGE => {
                self.file(File {
                    from: Arc::clone(from),
                    to: Arc::clone(to),
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

    /// The directories, once all files are on their way.
    fn finish(self) -> Result<Vec<(PathBuf, Stat)>, CopyError> {
        if let Files::Few(files) = self.files {
            for file in files {
                file.copy(self.copy.attributes)?;
            }
        }
        Ok(self.directories)
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
        let mut copy = Copy::into_root(self.to.as_fd(), attributes);
        copy.path = self.path;
        let name = self.name.as_os_str();
        let (from, to) = (Entry::new(&self.from, name), Entry::new(&self.to, name));
        copy.regular(from, to, &self.stat)?;
        copy.finish(from, to, &self.stat)
    }
}
