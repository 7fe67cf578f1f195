//! The API of everything but instances and images, on fakes.

mod envelope;
mod metadata;
mod networks;
mod operations;
mod pools;
mod profiles;
