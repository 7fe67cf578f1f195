//! Looks an image through without unpacking it: what is damaged or hostile is refused when it comes, not when it is
//! needed. Unpacking checks all of it again.

use std::path::Path;

use super::archive::{Archive, Entry, Kind};
use super::compression::{Decompressed, Format};
use super::unpack::{UnpackLimits, open, refused};
use super::writer::checked_path;
use super::{ImageError, ImageFiles, ImageMetadata};

/// Reads an image to its end and gives back what it says about itself.
pub fn inspect(files: &ImageFiles, limits: UnpackLimits) -> Result<ImageMetadata, ImageError> {
    let mut found = Found {
        metadata: None,
        has_rootfs: false,
        entries: 0,
    };
    look_through(&files.meta, limits, &mut |entry, archive| {
        found.entry(entry, archive, limits)
    })?;
    if let Some(rootfs) = &files.rootfs {
        if found.has_rootfs {
            return Err(ImageError::Refused {
                entry: "rootfs".into(),
                reason: "the image has two root file systems",
            });
        }
        found.has_rootfs = true;
        if Format::identify(rootfs)? != Format::Squashfs {
            look_through(rootfs, limits, &mut |entry, _| {
                found.count(limits)?;
                check_link(entry, Path::new(""))
            })?;
        }
    }
    match found {
        Found { metadata: None, .. } => Err(ImageError::Missing {
            what: "metadata.yaml",
        }),
        Found {
            has_rootfs: false, ..
        } => Err(ImageError::Missing { what: "rootfs" }),
        Found {
            metadata: Some(text),
            ..
        } => ImageMetadata::parse(&text),
    }
}

type Visit<'a> = dyn FnMut(&Entry, &mut Archive<Decompressed>) -> Result<(), ImageError> + 'a;

fn look_through(
    path: &Path,
    limits: UnpackLimits,
    visit: &mut Visit<'_>,
) -> Result<(), ImageError> {
    let mut archive = open(path, limits.max_bytes)?;
    while let Some(entry) = archive.next_entry()? {
        visit(&entry, &mut archive)?;
    }
    Ok(())
}

/// A hard link must mean something beneath `top`; where symbolic links lead is seen when they are followed.
fn check_link(entry: &Entry, top: &Path) -> Result<(), ImageError> {
    checked_path(&entry.path)?;
    if let Kind::HardLink(target) = &entry.kind
        && !checked_path(target)?.starts_with(top)
    {
        return Err(refused(entry, "it links to something outside"));
    }
    Ok(())
}

struct Found {
    metadata: Option<Vec<u8>>,
    has_rootfs: bool,
    entries: u64,
}

impl Found {
    fn count(&mut self, limits: UnpackLimits) -> Result<(), ImageError> {
        self.entries += 1;
        if self.entries > limits.max_entries {
            return Err(ImageError::TooBig {
                limit: limits.max_entries,
                unit: "files",
            });
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<Decompressed>,
        limits: UnpackLimits,
    ) -> Result<(), ImageError> {
        self.count(limits)?;
        let path = checked_path(&entry.path)?;
        if path == Path::new("metadata.yaml") {
            if entry.kind != Kind::File(None) || self.metadata.is_some() {
                return Err(refused(entry, "it must be one plain file"));
            }
            self.metadata = Some(archive.read_all()?);
        } else if path.starts_with("rootfs") {
            self.has_rootfs = true;
            check_link(entry, Path::new("rootfs"))?;
        } else if path.starts_with("templates")
            && !matches!(entry.kind, Kind::File(None) | Kind::Directory)
        {
            return Err(refused(entry, "templates are plain files and directories"));
        }
        Ok(())
    }
}
