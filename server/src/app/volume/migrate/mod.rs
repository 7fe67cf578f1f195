//! Custom volumes that come from another server or go to one.

mod sink;
mod source;

pub(super) use sink::receive;
pub use source::{Sending, send};
