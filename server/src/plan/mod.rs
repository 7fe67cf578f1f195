//! Decisions as pure functions: what the inventory says goes in, what is to be done comes out. Nothing here has effects.

pub mod acl;
pub mod apparmor;
pub mod attachment;
pub mod bridge;
pub mod cloud_init;
pub mod conflicts;
pub mod devices;
pub mod expand;
pub mod forward;
pub mod host;
pub mod idmap;
pub mod interception;
pub mod limits;
pub mod nic;
pub mod numbers;
pub mod pinning;
pub mod project;
pub mod proxy;
pub mod requirements;
pub mod rlimits;
pub mod snapshots;
pub mod start;
pub mod syscalls;

pub use crate::keys;
