//! Images: the store, where they come from, and their way onto pools.

mod fetch;
mod files;
mod on_pool;
mod resolve;

pub use files::{files, remove_files_unless_known};
pub use on_pool::ensure_on_pool;
pub use resolve::{find, resolve};
