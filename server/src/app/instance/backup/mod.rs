//! Backups of instances: what is in them, and making instances of them; see [`crate::app::backup`].

mod export;
mod import;
mod stored;
#[cfg(test)]
mod tests;

pub(super) use import::{BackupSource, known_config, known_devices, on_pool};
pub use import::{ImportOrder, import};
pub use stored::{create, delete, get, list, open, rename, stream};
