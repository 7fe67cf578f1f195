//! Wire types of the LXD 1.0 REST API, one file a resource.
//!
//! Input is read tolerantly: a field that is missing, and `null` for a list or a map, mean the default. Output is
//! exact: what LXD always sends is always there. `put` holds the writable fields of an object, flattened on the wire.
#![forbid(unsafe_code)]

mod backup;
mod certificate;
mod cluster;
mod doctor;
mod envelope;
mod event;
pub mod expiry;
mod guest;
mod image;
mod image_alias;
mod image_metadata;
mod instance;
mod instance_state;
mod metadata;
pub mod name;
mod network;
mod network_acl;
mod network_forward;
mod network_zone;
mod operation;
mod preseed;
mod profile;
mod project;
mod recover;
mod resources;
mod resources_card;
mod server;
mod session;
pub mod simplestreams;
pub mod size;
mod snapshot;
mod sql;
mod status_code;
mod storage_pool;
mod storage_volume;
mod warning;
mod wire;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod openapi;

pub use backup::*;
pub use certificate::*;
pub use cluster::*;
pub use doctor::*;
pub use envelope::*;
pub use event::*;
pub use guest::*;
pub use image::*;
pub use image_alias::*;
pub use image_metadata::*;
pub use instance::*;
pub use instance_state::*;
pub use metadata::*;
pub use network::*;
pub use network_acl::*;
pub use network_forward::*;
pub use network_zone::*;
pub use operation::*;
pub use preseed::*;
pub use profile::*;
pub use project::*;
pub use recover::*;
pub use resources::*;
pub use resources_card::*;
pub use server::*;
pub use session::*;
pub use snapshot::*;
pub use sql::*;
pub use status_code::*;
pub use storage_pool::*;
pub use storage_volume::*;
pub use warning::*;
pub use wire::{ConfigMap, DevicesMap, Timestamp};
