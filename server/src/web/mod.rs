//! Requests to other servers: HTTP/1.1, with or without TLS, with or without a proxy, each within limits of time.
//!
//! Image servers, other daemons and plain files on the web are asked through here; what they mean is their callers' business.

mod connect;
mod error;
mod http;
mod proxy;
mod url;

pub use error::WebError;
pub use proxy::ProxySettings;

pub(crate) use connect::Proof;
pub(crate) use http::{HttpClient, Question, WebBody, next_chunk, read_document};
pub(crate) use url::Url;
