//! Client library of `rlxcd`: the LXD 1.0 REST API over its unix socket or TLS.
//!
//! [`Connection`] sends requests and follows operations; [`session`] carries the streams of exec and console;
//! [`transfer`] moves images and files. All of it runs on one thread and opens no connection that it does not need.
#![forbid(unsafe_code)]

pub mod connection;
pub mod endpoint;
pub mod error;
pub mod event;
mod http;
mod multipart;
mod operation;
mod proxy;
mod relay;
pub mod session;
mod sftp;
mod stream;
pub mod tls;
pub mod transfer;
pub mod url;
pub mod web;
mod websocket;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use connection::{Connection, Reply, Tagged};
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use proxy::proxy;
pub use relay::relay;
