//! Writes a backup.

use std::io::Write;
use std::path::{Path, PathBuf};

use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use super::index::BackupIndex;
use crate::image::compression::Compressor;
use crate::image::pack::Packing;
use crate::image::{Compression, ImageError};
use crate::root;

/// A root with what belongs to it.
#[derive(Debug, Clone)]
pub struct BackupTree {
    /// The root, which nobody writes to.
    pub root: RootSource,
    /// A directory with `metadata.yaml` and `templates/`.
    pub dir: PathBuf,
}

/// A backup to be made.
#[derive(Debug)]
pub struct BackupOrder {
    /// What is in it.
    pub index: BackupIndex,
    /// The instance.
    pub main: BackupTree,
    /// Its snapshots by name, in the order of the index.
    pub snapshots: Vec<(String, BackupTree)>,
    /// How to compress it.
    pub compression: Compression,
    /// When it is made, in seconds since 1970.
    pub created: i64,
}

/// Writes the backup to `out`. `progress` is told how many bytes of files went in.
pub fn write<W: Write>(
    order: &BackupOrder,
    out: W,
    progress: &dyn Fn(u64),
) -> Result<W, ImageError> {
    let failed = |source| ImageError::Write { source };
    let compressor = Compressor::new(out, order.compression).map_err(failed)?;
    let mut packing = Packing::new(compressor, progress).precise();
    let index = order.index.render()?;
    packing.text("backup/index.yaml", index.as_bytes(), order.created)?;
    for (name, tree) in &order.snapshots {
        pack_tree(
            &mut packing,
            &Path::new("backup/snapshots").join(name),
            tree,
        )?;
    }
    if let Some(config) = &order.index.config {
        let text = config.render()?;
        packing.text(
            "backup/container/backup.yaml",
            text.as_bytes(),
            order.created,
        )?;
    }
    pack_tree(&mut packing, Path::new("backup/container"), &order.main)?;
    packing.end()?.finish().map_err(failed)
}

fn pack_tree<W: Write>(
    packing: &mut Packing<'_, W>,
    prefix: &Path,
    tree: &BackupTree,
) -> Result<(), ImageError> {
    let metadata = tree.dir.join("metadata.yaml");
    match rlxc_sys::file::read(&metadata) {
        Ok(text) => packing.text(prefix.join("metadata.yaml"), &text, 0)?,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let templates = tree.dir.join("templates");
    if templates.is_dir() {
        packing.tree(prefix.join("templates"), &path::open_dir(&templates)?)?;
    }
    let root = root::open(&tree.root).map_err(|source| ImageError::Root { source })?;
    packing.tree(prefix.join("rootfs"), &root)
}
