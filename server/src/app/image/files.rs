//! Where the file or files of an image are.

use std::path::PathBuf;

use rlxc_storage::image::ImageFiles;

use crate::context::{App, blocking};
use crate::db::images;
use crate::error::{Error, Result};
use crate::places::Places;

/// The files of an image in the store: the unified tarball, or metadata and root file system.
pub(super) fn files(places: &Places, fingerprint: &str, split: bool) -> ImageFiles {
    let meta = places.images().join(fingerprint);
    ImageFiles {
        rootfs: split.then(|| rootfs(&meta)),
        meta,
    }
}

fn rootfs(meta: &std::path::Path) -> PathBuf {
    meta.with_extension("rootfs")
}

/// Removes the files of an image that no project has any more; the undo of bringing one in.
pub async fn remove_files_unless_known(app: &App, fingerprint: &str) -> Result<()> {
    let key = fingerprint.to_owned();
    if app.db.read(move |tx| images::is_known(tx, &key)).await? {
        return Ok(());
    }
    let files = files(&app.places, fingerprint, true);
    blocking(move || {
        for path in std::iter::once(files.meta).chain(files.rootfs) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(
                        format!("remove image file {}", path.display()),
                        error,
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    })
    .await
}
