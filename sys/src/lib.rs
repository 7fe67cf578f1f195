//! System calls, and every `unsafe` line of the workspace.
//!
//! Synchronous, knows nothing of instances, pools or networks. All other crates forbid unsafe code and
//! reach the kernel through this one.

pub mod activation;
pub mod background;
pub mod btrfs;
pub mod capability;
pub mod chain;
pub mod clone;
pub mod device_filter;
pub mod file;
pub mod identity;
pub mod idmap;
pub mod interrupt;
pub mod link;
pub mod loopback;
pub mod mount;
pub mod namespace;
pub mod netns;
pub mod packet;
pub mod path;
pub mod pidfd;
pub mod process;
pub mod project_quota;
pub mod pty;
pub mod rollback;
pub mod rootfs;
pub mod sandbox;
pub mod seccomp;
pub mod tool;
pub mod unix_socket;
