//! What the drivers that keep trees in directories have in common.

use std::fs::File;
use std::path::{Path, PathBuf};

use rlxc_sys::file::{self, FileError};
use rlxc_sys::path;

use crate::copy::{Attributes, copy_tree};
use crate::error::{Cause, FillError};
use crate::pool::PoolDir;
use crate::trash::Scratch;
use crate::volume::VolumeRef;

/// Fills an image in `scratch` and puts it in place; nothing is done if it is there.
pub(crate) fn create_image(
    pool: &PoolDir,
    scratch: Scratch<'_>,
    fingerprint: &str,
    filler: &mut dyn FnMut(&Path) -> Result<(), FillError>,
) -> Result<(), Cause> {
    filler(scratch.path()).map_err(Cause::Fill)?;
    if !scratch.path().join("rootfs").is_dir() {
        return Err(Cause::NotFound {
            what: "`rootfs/` in the image".into(),
        });
    }
    // An image is shared by everything that will stand on it: one sync of the file system makes thousands of
    // files durable in one go, an fsync of each takes minutes.
    sync_file_system(scratch.path())?;
    // Who lost a race against another filler of the same image has nothing to add.
    let _first = PoolDir::place_for_good(scratch, &pool.image(fingerprint))?;
    Ok(())
}

/// Everything that was written so far to disk: a tree has too many files to sync each.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), Cause> {
    let dir = File::open(path).map_err(|error| FileError::new("open directory", path, error))?;
    rustix::fs::syncfs(&dir).map_err(|errno| FileError::new("sync", path, errno))?;
    Ok(())
}

/// Copies a tree into `to`, which is made.
pub(crate) fn clone_tree(from: &Path, to: &Path, attributes: Attributes) -> Result<(), Cause> {
    file::create_dir(to, 0o700)?;
    copy_into(from, to, attributes)
}

/// Copies a tree into a directory that is there and empty.
pub(crate) fn copy_into(from: &Path, to: &Path, attributes: Attributes) -> Result<(), Cause> {
    let source = open_existing(from)?;
    copy_tree(&source, &path::open_dir(to)?, attributes)?;
    Ok(())
}

fn open_existing(path: &Path) -> Result<std::os::fd::OwnedFd, Cause> {
    match path::open_dir(path) {
        Err(error) if error.is_not_found() => Err(Cause::NotFound {
            what: format!("`{}`", path.display()),
        }),
        other => Ok(other?),
    }
}

/// Copies `metadata.yaml` and `templates/`, which a volume needs when its image is long gone. Another server may have
/// written them: links are left out, which could lead anywhere.
pub(crate) fn copy_metadata(from: &Path, to: &Path) -> Result<(), Cause> {
    let metadata = from.join("metadata.yaml");
    if kind(&metadata).is_some_and(|kind| kind.is_file()) {
        let target = to.join("metadata.yaml");
        std::fs::copy(&metadata, &target)
            .map_err(|error| FileError::new("copy", &metadata, error))?;
    }
    let templates = from.join("templates");
    if kind(&templates).is_some_and(|kind| kind.is_dir()) {
        clone_tree(&templates, &to.join("templates"), Attributes::Content)?;
    }
    Ok(())
}

/// What is there itself; a link is a link.
fn kind(path: &Path) -> Option<std::fs::FileType> {
    std::fs::symlink_metadata(path)
        .ok()
        .map(|metadata| metadata.file_type())
}

/// The directory of a volume that must be there.
pub(crate) fn existing_volume(pool: &PoolDir, volume: VolumeRef) -> Result<PathBuf, Cause> {
    let path = pool.volume(volume);
    if path.is_dir() {
        return Ok(path);
    }
    Err(Cause::NotFound {
        what: format!("`{}`", path.display()),
    })
}

/// That something exists already.
pub(crate) fn already_there(path: &Path) -> Cause {
    Cause::AlreadyThere {
        what: format!("`{}`", path.display()),
    }
}

/// Fingerprints of all images that were put in place.
pub(crate) fn list_images(pool: &PoolDir) -> Result<Vec<String>, FileError> {
    let names = file::list_dir(&pool.source.join("images"))?;
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}
