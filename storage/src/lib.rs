//! Storage pools: images that are unpacked once, volumes that stand on them, snapshots; and image files.
//!
//! Synchronous. Knows nothing of instances, requests or the inventory: it is told ids and paths. It mounts
//! nothing: a driver says what a root consists of ([`rlxc_sys::rootfs::RootSource`]), the runtime mounts it.
#![forbid(unsafe_code)]

mod pool;
mod trash;

pub mod backup;
pub mod conformance;
pub mod copy;
pub mod driver;
pub mod error;
pub mod image;
pub mod root;
#[cfg(test)]
mod specimen;
pub mod transfer;
pub mod volume;

pub use driver::{Capabilities, Contents, Driver, Piece, Source, State, Usage, VolumeContents};
pub use error::{Cause, Error, FillError};
pub use pool::{PoolSpec, driver_at};
pub use volume::{SnapshotId, VolumeKind, VolumeRef};

use std::path::Path;
use std::sync::Arc;

use driver::btrfs::BtrfsDriver;
use driver::dir::DirDriver;
use driver::overlay::OverlayDriver;

/// Names of the drivers, the preferred one first.
pub const DRIVERS: &[&str] = &["overlay", "btrfs", "dir"];

/// The drivers for pools in `directory`, the best first. In a container, or on an overlay, `overlay` is none of them.
pub fn drivers_in(directory: &Path) -> Vec<&'static str> {
    if driver::overlay::probe(directory).is_ok() {
        return DRIVERS.to_vec();
    }
    vec!["dir", "btrfs"]
}

/// Makes a pool in a directory that is empty or not there yet, and opens it.
pub fn create(spec: &PoolSpec) -> Result<Arc<dyn Driver>, Error> {
    match spec.driver.as_str() {
        "btrfs" => Ok(Arc::new(BtrfsDriver::create(spec)?)),
        "dir" => Ok(Arc::new(DirDriver::create(spec)?)),
        "overlay" => Ok(Arc::new(OverlayDriver::create(spec)?)),
        _ => Err(unknown(spec)),
    }
}

/// Opens a pool that was created before; what a crash left half-made in it is removed.
pub fn open(spec: &PoolSpec) -> Result<Arc<dyn Driver>, Error> {
    match spec.driver.as_str() {
        "btrfs" => Ok(Arc::new(BtrfsDriver::open(spec)?)),
        "dir" => Ok(Arc::new(DirDriver::open(spec)?)),
        "overlay" => Ok(Arc::new(OverlayDriver::open(spec)?)),
        _ => Err(unknown(spec)),
    }
}

/// Takes away what is left of the file system of a pool that was deleted, or was only half made.
pub fn discard(spec: &PoolSpec) -> Result<(), Error> {
    use error::Doing;
    driver::btrfs::discard(spec).pool("delete", &spec.name)
}

/// The driver that a new pool in `directory` (or where it will be) should have.
pub fn default_driver(directory: &Path) -> &'static str {
    let there = directory.ancestors().find(|path| path.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    if driver::btrfs::check(there).is_ok() {
        return "btrfs";
    }
    match driver::overlay::probe(there) {
        Ok(()) => "overlay",
        Err(_) => "dir",
    }
}

fn unknown(spec: &PoolSpec) -> Error {
    Error::UnknownDriver {
        driver: spec.driver.clone(),
    }
}
