//! Backups of instances: what is in them, and making instances of them; see [`crate::app::backup`].

mod describe;
mod export;
mod import;
mod owners;
mod stored;
#[cfg(test)]
mod tests;

pub use describe::describe;
pub(super) use import::{BackupSource, on_pool};
pub use import::{ImportOrder, import, known_config, known_devices, new_root};
pub use stored::{create, delete, get, list, open, rename, stream};
