//! Backups: an instance as one file, which any server of this API can make an instance of again.
//!
//! A backup waits on disk until it is fetched, or goes straight to who asked for it.

mod export;
mod import;
mod stored;
#[cfg(test)]
mod tests;

pub use export::{ExportOrder, stream};
pub(super) use import::{BackupSource, known_config, known_devices, on_pool};
pub use import::{ImportOrder, Upload, import};
pub use stored::{create, delete, expire, get, list, open, remove, remove_all, rename};
