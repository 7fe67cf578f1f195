//! `rlxcd`: the daemon that keeps instances, and joins storage, network and runtime, which know nothing of each other.
//!
//! A request flows one way: `http` → `app` → `plan` (pure) → effects in `storage`, `network` and `runtime`, each
//! beside its undo. ARCHITECTURE.md has the map.
#![forbid(unsafe_code)]

pub mod app;
pub mod clock;
pub mod context;
pub mod daemon;
pub mod db;
pub mod dns;
pub mod doctor;
pub mod error;
pub mod events;
pub mod files;
pub mod guest;
pub mod http;
pub mod image_build;
pub mod instance;
mod keyed;
pub mod keys;
mod lock;
pub mod log_layer;
pub mod lxcfs;
pub mod metrics;
pub mod migration;
pub mod model;
mod notify;
pub mod operation;
pub mod peer;
pub mod places;
pub mod plan;
mod readiness;
pub mod reconcile;
pub mod resources;
pub mod runtime;
pub mod saga;
mod service;
pub mod session;
pub mod simplestreams;
mod tcp;
#[cfg(test)]
mod testing;
pub mod tpm;
pub mod trust;
pub mod uevent;
pub mod unix_device;
pub mod web;
