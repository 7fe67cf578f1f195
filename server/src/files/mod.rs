//! Files of instances: what `file push` and `file pull` read and write, in running and in stopped ones.
//!
//! ```text
//!  running: /proc/<init>/root ─┐
//!                              ├▶ Root ─▶ Tree: every path by openat2 from one directory, owners as the guest sees them
//!  stopped: a detached mount ──┘
//! ```
//! The guest may change its tree while we work in it: nothing is looked at by name twice, and what it made of the name
//! meanwhile is refused or taken as it is, always inside its own root. [`logs`] are the daemon's own files about an
//! instance.

mod access;
mod attributes;
mod kernel;
pub mod logs;
mod owners;
mod root;
mod sftp;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub use access::{Place, Pulled, delete, look, pull, push};
pub use attributes::{Attributes, Facts, Kind, Modify, Push, WriteMode};
pub use root::{Roots, root_of};
pub use sftp::serve as serve_sftp;

/// A read or write at a time.
pub const CHUNK: usize = 256 << 10;
