//! Packs a root file system into a unified image: one tarball, sorted, numeric owners, pax records for what ustar
//! has no room for (long names, big numbers, extended attributes).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek as _, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{Entry, FileError};
use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::ahead::Ahead;
use super::compressor::Compressor;
use super::fingerprint::Fingerprinter;
use super::header::{Item, pax_records, plain_header};
use super::writer::allows_xattr;
use super::{Algorithm, ImageError, ImageMetadata};
use crate::copy::{CopyError, DEPTH_LIMIT};
use crate::root;

/// An image to be made.
#[derive(Debug, Clone, Copy)]
pub struct PackOrder<'a> {
    /// The root, which is not in use, or a snapshot of one that is.
    pub root: &'a RootSource,
    /// What the image says about itself.
    pub metadata: &'a ImageMetadata,
    /// A directory of templates.
    pub templates: Option<&'a Path>,
    /// How to compress it.
    pub algorithm: Algorithm,
}

/// Writes the image to `out`; returns its fingerprint and size in bytes. `progress` is told how many bytes of
/// files went in.
pub fn pack<W: Write + Send + 'static>(
    order: PackOrder<'_>,
    out: W,
    progress: &dyn Fn(u64),
) -> Result<(String, u64, W), ImageError> {
    let root = root::open(order.root).map_err(|source| ImageError::Root { source })?;
    let write = |source| ImageError::Write { source };
    let ahead = Ahead::new(Fingerprinter::new(out)).map_err(write)?;
    let compressor = Compressor::new(ahead, order.algorithm).map_err(write)?;
    let mut packing = Packing::new(compressor, progress);
    let text = order.metadata.render()?;
    packing.text(
        "metadata.yaml",
        text.as_bytes(),
        order.metadata.creation_date,
    )?;
    if let Some(templates) = order.templates.filter(|path| path.is_dir()) {
        packing.tree("templates", &path::open_dir(templates)?)?;
    }
    packing.tree("rootfs", &root)?;
    let ahead = packing.end()?.finish().map_err(write)?;
    Ok(ahead.finish().map_err(write)?.finish())
}

/// An archive in the making.
pub(crate) struct Packing<'a, W: Write> {
    out: W,
    /// The first name of each file that has several.
    linked: HashMap<(u64, u64), PathBuf>,
    /// The path in the archive of what is being packed.
    path: PathBuf,
    bytes: u64,
    progress: &'a dyn Fn(u64),
    buffer: Vec<u8>,
    /// Whether holes stay holes and times are kept to the nanosecond.
    precise: bool,
}

impl<'a, W: Write> Packing<'a, W> {
    pub(crate) fn new(out: W, progress: &'a dyn Fn(u64)) -> Self {
        Self {
            out,
            linked: HashMap::new(),
            path: PathBuf::new(),
            bytes: 0,
            progress,
            buffer: vec![0; 1 << 18],
            precise: false,
        }
    }

    /// Keeps holes, and times to the nanosecond.
    pub(crate) fn precise(self) -> Self {
        Self {
            precise: true,
            ..self
        }
    }

    /// Adds a file of ours.
    pub(crate) fn text(
        &mut self,
        path: impl Into<PathBuf>,
        text: &[u8],
        mtime: i64,
    ) -> Result<(), ImageError> {
        self.path = path.into();
        let item = Item {
            kind: tar::EntryType::Regular,
            path: self.path.clone(),
            mode: 0o644,
            mtime,
            size: text.len() as u64,
            ..Item::default()
        };
        self.header(&item)?;
        self.data(&mut &*text, item.size)
    }

    /// Adds a file of what comes in, which must be `size` bytes.
    pub(crate) fn stream(
        &mut self,
        path: &Path,
        from: &mut dyn Read,
        size: u64,
    ) -> Result<(), ImageError> {
        path.clone_into(&mut self.path);
        let item = Item {
            kind: tar::EntryType::Regular,
            path: self.path.clone(),
            mode: 0o600,
            size,
            ..Item::default()
        };
        self.header(&item)?;
        let mut counted = from.take(size);
        self.data(&mut counted, size)?;
        let missing = counted.limit();
        let more = from.read(&mut [0]);
        if missing > 0 || !matches!(more, Ok(0)) {
            let changed = "the stream is not as long as it was a moment ago";
            let source = io::Error::other(changed);
            return Err(ImageError::Write { source });
        }
        Ok(())
    }

    /// Adds a directory with all that is in it.
    pub(crate) fn tree(
        &mut self,
        path: impl Into<PathBuf>,
        dir: &impl AsFd,
    ) -> Result<(), ImageError> {
        self.path = path.into();
        // Numbers of inodes mean nothing beyond one mount.
        self.linked.clear();
        self.directory(dir.as_fd(), 0)
    }

    /// Writes the end mark: two blocks of zeros.
    pub(crate) fn end(mut self) -> Result<W, ImageError> {
        self.out
            .write_all(&[0; 1024])
            .map_err(|source| ImageError::Write { source })?;
        (self.progress)(self.bytes);
        Ok(self.out)
    }
}

impl<W: Write> Packing<'_, W> {
    fn error(&self, action: &'static str) -> impl FnOnce(Errno) -> FileError {
        let path = self.path.clone();
        move |errno| FileError::new(action, path, errno)
    }

    fn header(&mut self, item: &Item) -> Result<(), ImageError> {
        let write = |source| ImageError::Write { source };
        let records = pax_records(item);
        if !records.is_empty() {
            let extension = Item {
                kind: tar::EntryType::XHeader,
                path: PathBuf::from("pax"),
                mode: 0o644,
                size: records.len() as u64,
                ..Item::default()
            };
            let header = plain_header(&extension);
            self.out.write_all(header.as_bytes()).map_err(write)?;
            self.out.write_all(&records).map_err(write)?;
            self.pad(extension.size)?;
        }
        let header = plain_header(item);
        self.out.write_all(header.as_bytes()).map_err(write)
    }

    fn pad(&mut self, size: u64) -> Result<(), ImageError> {
        let padding = (512 - size % 512) % 512;
        self.out
            .write_all(&[0; 512][..usize::try_from(padding).unwrap_or(0)])
            .map_err(|source| ImageError::Write { source })
    }

    fn data(&mut self, from: &mut dyn Read, size: u64) -> Result<(), ImageError> {
        self.exactly(from, size)?;
        self.pad(size)
    }

    /// Exactly `size` bytes: what a file became shorter by meanwhile is zeros, what it grew by is left out.
    fn exactly(&mut self, from: &mut dyn Read, size: u64) -> Result<(), ImageError> {
        let mut left = size;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let wanted = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let count = match from.read(&mut buffer[..wanted]) {
                Ok(0) => {
                    buffer[..wanted].fill(0);
                    wanted
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(FileError::new("read", &self.path, error).into()),
            };
            self.out
                .write_all(&buffer[..count])
                .map_err(|source| ImageError::Write { source })?;
            left -= count as u64;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// An entry for the directory `dir`, then all that is in it.
    fn directory(&mut self, dir: BorrowedFd<'_>, depth: usize) -> Result<(), ImageError> {
        if depth > DEPTH_LIMIT {
            let path = self.path.clone();
            return Err(CopyError::TooDeep { path }.into());
        }
        let stat = rustix::fs::fstat(dir).map_err(self.error("look at"))?;
        let dot = Entry {
            dir,
            name: OsStr::new("."),
        };
        let mut item = self.item(tar::EntryType::Directory, dot, &stat)?;
        item.path.as_mut_os_string().push("/");
        self.header(&item)?;
        let mut names: Vec<OsString> = Vec::new();
        for entry in Dir::read_from(dir).map_err(self.error("list"))? {
            let entry = entry.map_err(self.error("list"))?;
            names.push(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
        }
        names.sort();
        for name in names.iter().filter(|name| *name != "." && *name != "..") {
            self.path.push(name);
            self.entry(Entry { dir, name }, depth)?;
            self.path.pop();
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry<'_>, depth: usize) -> Result<(), ImageError> {
        let stat = rustix::fs::statat(entry.dir, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("look at"))?;
        let open = |flags| {
            let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(entry.dir, entry.name, flags, Mode::empty())
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            let dir = open(OFlags::DIRECTORY).map_err(self.error("open directory"))?;
            return self.directory(dir.as_fd(), depth + 1);
        }
        if let Some(first) = self.first_name(&stat) {
            let mut item = self.item(tar::EntryType::Link, entry, &stat)?;
            item.xattrs.clear();
            item.link = Some(first.into_os_string());
            return self.header(&item);
        }
        match kind {
            FileType::RegularFile => {
                let item = self.item(tar::EntryType::Regular, entry, &stat)?;
                let file = File::from(open(OFlags::NONBLOCK).map_err(self.error("open"))?);
                self.regular(item, file, &stat)
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(entry.dir, entry.name, Vec::new())
                    .map_err(self.error("read link"))?;
                let mut item = self.item(tar::EntryType::Symlink, entry, &stat)?;
                item.link = Some(OsStr::from_bytes(target.to_bytes()).to_owned());
                self.header(&item)
            }
            FileType::Fifo => self.header(&self.item(tar::EntryType::Fifo, entry, &stat)?),
            FileType::CharacterDevice => {
                self.header(&self.item(tar::EntryType::Char, entry, &stat)?)
            }
            FileType::BlockDevice => {
                self.header(&self.item(tar::EntryType::Block, entry, &stat)?)
            }
            // Sockets are made by who listens on them.
            _ => Ok(()),
        }
    }

    fn regular(&mut self, mut item: Item, mut file: File, stat: &Stat) -> Result<(), ImageError> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let stored = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        let pieces = if self.precise && stored < size {
            pieces(&file, size)
                .map_err(|error| FileError::new("look for holes in", &self.path, error))?
        } else {
            Vec::new()
        };
        if pieces.is_empty() {
            item.size = size;
            self.header(&item)?;
            self.data(&mut file, size)?;
        } else {
            self.sparse(item, file, (size, &pieces))?;
        }
        self.bytes += size;
        (self.progress)(self.bytes);
        Ok(())
    }

    /// As GNU tar does in its format 1.0: the data begins with a map of the pieces that are there.
    fn sparse(
        &mut self,
        mut item: Item,
        mut file: File,
        (size, pieces): (u64, &[(u64, u64)]),
    ) -> Result<(), ImageError> {
        let lines = pieces
            .iter()
            .map(|(offset, length)| format!("{offset}\n{length}\n"));
        let mut map = format!("{}\n{}", pieces.len(), lines.collect::<String>()).into_bytes();
        map.resize(map.len().next_multiple_of(512), 0);
        item.sparse = Some(size);
        item.size = map.len() as u64 + pieces.iter().map(|(_, length)| length).sum::<u64>();
        self.header(&item)?;
        let write = |source| ImageError::Write { source };
        self.out.write_all(&map).map_err(write)?;
        for (offset, length) in pieces {
            file.seek(io::SeekFrom::Start(*offset))
                .map_err(|error| FileError::new("read", &self.path, error))?;
            self.exactly(&mut file, *length)?;
        }
        self.pad(item.size)
    }

    /// The name under which this file is in the archive already; remembers this one if it is the first of several.
    fn first_name(&mut self, stat: &Stat) -> Option<PathBuf> {
        if stat.st_nlink < 2 {
            return None;
        }
        let inode = (stat.st_dev, stat.st_ino);
        let first = self.linked.get(&inode).cloned();
        if first.is_none() {
            self.linked.insert(inode, self.path.clone());
        }
        first
    }

    fn item(&self, kind: tar::EntryType, entry: Entry<'_>, stat: &Stat) -> Result<Item, FileError> {
        let failed = |error| FileError::new("read attributes of", &self.path, error);
        let mut xattrs = Vec::new();
        let mut names = entry.list_xattrs().map_err(failed)?;
        names.sort();
        for name in names.into_iter().filter(|name| allows_xattr(name)) {
            if let Some(value) = entry.xattr(&name).map_err(failed)? {
                xattrs.push((name, value));
            }
        }
        Ok(Item {
            kind,
            path: self.path.clone(),
            link: None,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            nanoseconds: if self.precise {
                u32::try_from(stat.st_mtime_nsec).unwrap_or(0)
            } else {
                0
            },
            sparse: None,
            size: 0,
            device: stat.st_rdev,
            xattrs,
        })
    }
}

/// Where a file has data: offsets and lengths, with an empty piece at its end. None if it has no holes after all.
fn pieces(file: &File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) if start < size => start,
            Ok(_) | Err(Errno::NXIO) => break,
            // Some file systems can't tell.
            Err(Errno::INVAL) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start))?.min(size);
        pieces.push((start, end - start));
        at = end;
    }
    if pieces == [(0, size)] {
        pieces.clear();
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))?;
        return Ok(pieces);
    }
    pieces.push((size, 0));
    Ok(pieces)
}

#[cfg(test)]
mod tests;
