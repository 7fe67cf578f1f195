//! The monitor of one container and the init it clones: all between a [`spec::ContainerSpec`] and the kernel.
//!
//! The daemon uses [`spec`], [`protocol`], [`exit`] and [`cgroup`]; the rest is the binary `rlxc-monitor`, which runs
//! one thread, decides nothing and outlives the daemon. This crate does not know the API: that one evolves, the
//! protocol of monitors that are running can't.
#![forbid(unsafe_code)]

pub mod cgroup;
pub mod exit;
pub mod monitor;
pub mod protocol;
pub mod proxy;
pub mod seccomp;
pub mod spec;

mod attach;
mod confine;
mod init;
mod view;
