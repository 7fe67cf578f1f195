//! What can go wrong between us and the daemon.

use std::io;
use std::path::PathBuf;

/// An error of the client library.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket can't be reached.
    #[error("connect to {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another host can't be reached.
    #[error("connect to {address}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS does not come about.
    #[error("shake hands with {address}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server shows another certificate than the one that was accepted.
    #[error("{address} shows another certificate than the one that was accepted for it")]
    OtherCertificate {
        /// Host and port.
        address: String,
    },
    /// The client's own certificate.
    #[error("{what}")]
    Identity {
        /// What we were doing, and with which file.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke.
    #[error("{method} {path}")]
    Http {
        /// Method of the request.
        method: String,
        /// Its path and query.
        path: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The request can't even be written down: a name holds what no URL can.
    #[error("make a request of `{path}`")]
    Request {
        /// Its path and query.
        path: String,
        /// Why.
        #[source]
        source: hyper::http::Error,
    },
    /// The daemon refuses: its own words.
    #[error("{message}")]
    Refused {
        /// HTTP code.
        code: u16,
        /// Path of the request, without its query.
        path: String,
        /// What the daemon says.
        message: String,
    },
    /// An operation did not succeed: the daemon's words.
    #[error("{message}")]
    Operation {
        /// What it was to do.
        description: String,
        /// Why it did not.
        message: String,
        /// Whether it was cancelled.
        cancelled: bool,
    },
    /// A reply is not what the API says.
    #[error("understand the reply to {path}")]
    Reply {
        /// Path of the request.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A reply lacks something.
    #[error("the reply to {path} lacks {what}")]
    Incomplete {
        /// Path of the request.
        path: String,
        /// What it lacks.
        what: &'static str,
    },
    /// A websocket can't be opened, or broke.
    #[error("websocket {path}")]
    WebSocket {
        /// Its path, without the secret.
        path: String,
        /// Why.
        #[source]
        source: Box<tokio_tungstenite::tungstenite::Error>,
    },
    /// A local file or stream.
    #[error("{what}")]
    Io {
        /// What we were doing, and with which file.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// The HTTP code of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the daemon says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    pub(crate) fn websocket(
        path: &str,
    ) -> impl FnOnce(tokio_tungstenite::tungstenite::Error) -> Self {
        let path = path.split('?').next().unwrap_or(path).to_owned();
        move |source| Self::WebSocket {
            path,
            source: Box::new(source),
        }
    }
}
