//! Instances that come from another server or go to one.

mod sink;
mod snapshot_row;
mod source;

pub use sink::receive;
pub(super) use sink::{Arrival, complete};
pub use source::send;
