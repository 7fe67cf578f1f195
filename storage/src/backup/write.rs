//! Writes a backup.

use std::io::Write;
use std::path::{Path, PathBuf};

use rlxc_sys::path;
use rlxc_sys::rootfs::RootSource;

use super::index::{BackupIndex, Layout};
use super::streams::Streams;
use crate::image::compressor::Compressor;
use crate::image::pack::Packing;
use crate::image::{Algorithm, ImageError};
use crate::root;

/// A root with what belongs to it.
#[derive(Debug, Clone)]
pub struct BackupTree {
    /// The root, which nobody writes to.
    pub root: RootSource,
    /// Of an instance: a directory with `metadata.yaml` and `templates/`.
    pub dir: Option<PathBuf>,
}

/// In which form a backup has what it is of.
#[derive(Debug)]
pub enum BackupParts {
    /// As trees of files, which any pool can take.
    Trees {
        /// The instance or volume.
        main: BackupTree,
        /// Its snapshots by name, in the order of the index.
        snapshots: Vec<(String, BackupTree)>,
    },
    /// As streams of its driver.
    Streams(Streams),
}

/// A backup to be made.
#[derive(Debug)]
pub struct BackupOrder {
    /// What is in it.
    pub index: BackupIndex,
    /// The instance or volume with its snapshots.
    pub parts: BackupParts,
    /// How to compress it.
    pub algorithm: Algorithm,
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
    let compressor = Compressor::new(out, order.algorithm).map_err(failed)?;
    let mut packing = Packing::new(compressor, progress).precise();
    let index = order.index.render()?;
    packing.text("backup/index.yaml", index.as_bytes(), order.created)?;
    let layout = order.index.layout();
    let (main, snapshots) = match &order.parts {
        BackupParts::Trees { main, snapshots } => (main, snapshots),
        BackupParts::Streams(streams) => {
            streams.pack(&mut packing, layout)?;
            return packing.end()?.finish().map_err(failed);
        }
    };
    for (name, tree) in snapshots {
        pack_tree(&mut packing, layout, &layout.snapshots().join(name), tree)?;
    }
    if let (Layout::Instance, Some(config)) = (layout, &order.index.config) {
        let text = config.render()?;
        packing.text(
            layout.main().join("backup.yaml"),
            text.as_bytes(),
            order.created,
        )?;
    }
    pack_tree(&mut packing, layout, layout.main(), main)?;
    packing.end()?.finish().map_err(failed)
}

fn pack_tree<W: Write>(
    packing: &mut Packing<'_, W>,
    layout: Layout,
    part: &Path,
    tree: &BackupTree,
) -> Result<(), ImageError> {
    if let Some(dir) = &tree.dir {
        pack_metadata(packing, part, dir)?;
    }
    let root = root::open(&tree.root).map_err(|source| ImageError::Root { source })?;
    packing.tree(layout.root(part), &root)
}

fn pack_metadata<W: Write>(
    packing: &mut Packing<'_, W>,
    part: &Path,
    dir: &Path,
) -> Result<(), ImageError> {
    match rlxc_sys::file::read(&dir.join("metadata.yaml")) {
        Ok(text) => packing.text(part.join("metadata.yaml"), &text, 0)?,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let templates = dir.join("templates");
    if templates.is_dir() {
        packing.tree(part.join("templates"), &path::open_dir(&templates)?)?;
    }
    Ok(())
}
