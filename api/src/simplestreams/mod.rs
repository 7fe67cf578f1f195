//! What image servers publish in the format of simplestreams, as LXD's and Incus' do: an index, lists of products, and what a
//! name means among them. Pure.

pub mod architecture;
pub mod catalogue;
mod delta;
mod resolve;

pub use delta::Delta;
pub use resolve::{Missing, RemoteImage, find_image, list_images, names};
