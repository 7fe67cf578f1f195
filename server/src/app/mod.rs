//! What the daemon can do, one function a use case. Handlers call these and nothing else.

pub mod apparmor;
pub mod backup;
pub mod certificate;
pub mod image;
pub mod instance;
pub mod join_token;
pub mod network;
pub mod pool;
pub mod profile;
pub mod project;
pub mod recover;
pub mod scheduled;
pub mod server;
pub mod server_certificate;
pub mod shutdown;
pub mod template;
#[cfg(test)]
mod tests;
mod transfer;
pub mod volume;
