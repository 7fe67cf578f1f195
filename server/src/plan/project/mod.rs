//! What the keys of a project mean: which things are its own, how much it may have, and what is forbidden in it.
//!
//! All of it is pure; [`crate::app::project`] reads what a project holds and asks here.

mod feature;
pub mod keys;
pub mod limits;
pub mod restrictions;

pub use feature::Feature;
