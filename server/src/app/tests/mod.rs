//! The API of everything but instances and images, on fakes.

mod editing;
mod envelope;
mod lists;
mod metadata;
mod network_faults;
mod networks;
mod operations;
mod pools;
mod profiles;
mod projects;
mod volumes;
