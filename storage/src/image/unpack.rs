//! Unpacks image files into `metadata.yaml`, `templates/` and `rootfs/`.

use std::path::{Path, PathBuf};

use rlxc_sys::chain::chain;
use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;

use super::archive::{Archive, Entry, Kind};
use super::compression::{Decompressed, Format};
use super::writer::{TreeWriter, checked_path};
use super::{ImageError, ImageFiles, ImageMetadata, squashfs};

/// What an image may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of an archive, decompressed; of a squashfs, the sum of its files.
    pub max_bytes: u64,
    /// Files, directories and links.
    pub max_entries: u64,
}

impl Default for UnpackLimits {
    /// 100 GiB and four million entries: more than any distribution, less than most disks.
    fn default() -> Self {
        Self {
            max_bytes: 100 << 30,
            max_entries: 4_000_000,
        }
    }
}

/// Bytes between two calls of a progress function.
const PROGRESS_STEP: u64 = 1 << 20;
const PARTS: [&str; 3] = ["metadata.yaml", "templates", "rootfs"];

/// Unpacks an image into `target`, a directory that has none of the parts yet; owners are kept as the image says.
///
/// Device nodes are left out: a container can't use them. `progress` is told how many bytes of the files were read.
/// An image that is refused leaves nothing behind.
pub fn unpack(
    files: &ImageFiles,
    target: &Path,
    limits: UnpackLimits,
    progress: &dyn Fn(u64),
) -> Result<ImageMetadata, ImageError> {
    if let Some(part) = PARTS.iter().find(|part| target.join(part).exists()) {
        let there = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(FileError::new("unpack to", target.join(part), there).into());
    }
    let unpacked = unpack_parts(files, target, limits, progress);
    if unpacked.is_err() {
        discard(target);
    }
    unpacked
}

/// Reads what an image says about itself, without unpacking it. Metadata comes first in the archives that we and
/// others write; if not, the archive is read up to it.
pub fn read_metadata(
    files: &ImageFiles,
    limits: UnpackLimits,
) -> Result<ImageMetadata, ImageError> {
    let mut archive = open(&files.meta, limits.max_bytes)?;
    while let Some(entry) = archive.next_entry()? {
        if checked_path(&entry.path)? == Path::new("metadata.yaml") {
            return ImageMetadata::parse(&archive.read_all()?);
        }
    }
    Err(ImageError::Missing {
        what: "metadata.yaml",
    })
}

pub(super) fn open(path: &Path, limit: u64) -> Result<Archive<Decompressed>, ImageError> {
    match Format::identify(path)? {
        Format::Tar(compression) => {
            let stream = Decompressed::open(path, compression)?;
            Ok(Archive::new(stream, path, limit))
        }
        Format::Squashfs => Err(ImageError::Malformed {
            path: path.to_owned(),
            problem: "it is a squashfs; it needs a metadata tarball beside it".into(),
        }),
    }
}

fn discard(target: &Path) {
    let removed = path::open_dir(target).and_then(|dir| {
        PARTS
            .iter()
            .try_for_each(|part| path::remove_tree(&dir, part.as_ref()))
    });
    if let Err(error) = removed {
        let error = chain(&error).to_string();
        tracing::warn!(target_dir = %target.display(), error, "half an image was left behind");
    }
}

fn unpack_parts(
    files: &ImageFiles,
    target: &Path,
    limits: UnpackLimits,
    progress: &dyn Fn(u64),
) -> Result<ImageMetadata, ImageError> {
    for part in ["templates", "rootfs"] {
        file::create_dir(&target.join(part), 0o755)?;
    }
    let mut unpacking = Unpacking {
        templates: writer(target, "templates")?,
        rootfs: writer(target, "rootfs")?,
        metadata: None,
        has_rootfs: false,
        entries: 0,
        limits,
        progress,
        read_before: 0,
    };
    unpacking.archive(&files.meta, Layout::Unified)?;
    if let Some(rootfs) = &files.rootfs {
        unpacking.root(rootfs, &target.join("rootfs"))?;
    }
    unpacking.finish(target)
}

fn writer(target: &Path, part: &str) -> Result<TreeWriter, FileError> {
    Ok(TreeWriter::new(path::open_dir(&target.join(part))?))
}

/// How an archive is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `metadata.yaml`, `templates/`, `rootfs/`, or the first two of them.
    Unified,
    /// A root.
    Root,
}

struct Unpacking<'a> {
    templates: TreeWriter,
    rootfs: TreeWriter,
    metadata: Option<Vec<u8>>,
    has_rootfs: bool,
    entries: u64,
    limits: UnpackLimits,
    progress: &'a dyn Fn(u64),
    read_before: u64,
}

impl Unpacking<'_> {
    fn archive(&mut self, path: &Path, layout: Layout) -> Result<(), ImageError> {
        let mut archive = open(path, self.limits.max_bytes)?;
        let mut told = 0;
        while let Some(entry) = archive.next_entry()? {
            self.count()?;
            match layout {
                Layout::Unified => self.unified_entry(entry, &mut archive)?,
                Layout::Root => {
                    let path = checked_path(&entry.path)?;
                    self.root_entry(&path, entry, &mut archive, Path::new(""))?;
                }
            }
            let taken = archive.reader().taken();
            if taken - told >= PROGRESS_STEP {
                told = taken;
                (self.progress)(self.read_before + taken);
            }
        }
        self.read_before += archive.reader().taken();
        (self.progress)(self.read_before);
        Ok(())
    }

    fn root(&mut self, file: &Path, target: &Path) -> Result<(), ImageError> {
        if self.has_rootfs {
            return Err(ImageError::Refused {
                entry: "rootfs".into(),
                reason: "the image has two root file systems",
            });
        }
        if Format::identify(file)? == Format::Squashfs {
            squashfs::unpack(file, target, self.limits)?;
            self.has_rootfs = true;
            return Ok(());
        }
        self.archive(file, Layout::Root)
    }

    fn count(&mut self) -> Result<(), ImageError> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(ImageError::TooBig {
                limit: self.limits.max_entries,
                unit: "files",
            });
        }
        Ok(())
    }

    fn unified_entry(
        &mut self,
        mut entry: Entry,
        archive: &mut Archive<Decompressed>,
    ) -> Result<(), ImageError> {
        let path = checked_path(&entry.path)?;
        if path == Path::new("metadata.yaml") {
            return self.metadata(&entry, archive);
        }
        if let Ok(inner) = path.strip_prefix("rootfs") {
            return self.root_entry(inner, entry, archive, Path::new("rootfs"));
        }
        let Ok(inner) = path.strip_prefix("templates") else {
            // Other tools put other things there; nothing of ours reads them.
            return Ok(());
        };
        if !entry.make_template() {
            return Err(refused(&entry, "templates are plain files and directories"));
        }
        self.templates.put(inner, entry, None, archive)
    }

    fn metadata(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<Decompressed>,
    ) -> Result<(), ImageError> {
        if entry.kind != Kind::File(None) || self.metadata.is_some() {
            return Err(refused(entry, "it must be one plain file"));
        }
        self.metadata = Some(archive.read_all()?);
        Ok(())
    }

    /// `prefix` is where the root begins in the archive: hard links name their target from the archive's top.
    fn root_entry(
        &mut self,
        path: &Path,
        entry: Entry,
        archive: &mut Archive<Decompressed>,
        prefix: &Path,
    ) -> Result<(), ImageError> {
        self.has_rootfs = true;
        let link: Option<PathBuf> = match &entry.kind {
            Kind::HardLink(target) => {
                let inside = checked_path(target)?
                    .strip_prefix(prefix)
                    .map(Path::to_owned);
                Some(inside.map_err(|_outside| refused(&entry, "it links to something outside"))?)
            }
            _ => None,
        };
        self.rootfs.put(path, entry, link.as_deref(), archive)
    }

    fn finish(self, target: &Path) -> Result<ImageMetadata, ImageError> {
        let text = self.metadata.ok_or(ImageError::Missing {
            what: "metadata.yaml",
        })?;
        if !self.has_rootfs {
            return Err(ImageError::Missing { what: "rootfs" });
        }
        let metadata = ImageMetadata::parse(&text)?;
        let path = target.join("metadata.yaml");
        file::write_atomic(&path, &text, 0o644, file::Durability::Volatile)?;
        self.templates.finish()?;
        self.rootfs.finish()?;
        Ok(metadata)
    }
}

pub(crate) fn refused(entry: &Entry, reason: &'static str) -> ImageError {
    ImageError::Refused {
        entry: String::from_utf8_lossy(&entry.path).into_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests;
