//! Who is asking. On the unix socket the kernel tells: whoever may open it is trusted.

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use rlxc_api::Requestor;
use tokio::net::UnixListener;

use super::error::ApiError;
use crate::error::Error;

/// What the listener knows of a peer.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    uid: Option<u32>,
}

#[cfg(test)]
impl Peer {
    /// Root, in tests.
    pub(super) fn root() -> Self {
        Self { uid: Some(0) }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self {
            uid: stream.io().peer_cred().ok().map(|cred| cred.uid()),
        }
    }
}

/// The caller, as events and operations name it.
#[derive(Debug, Clone)]
pub(super) struct Identity(pub Requestor);

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<Peer>>()
            .ok_or(Error::Forbidden)?;
        let username = match peer.0.uid {
            Some(0) => "root".to_owned(),
            Some(uid) => uid.to_string(),
            None => String::new(),
        };
        Ok(Self(Requestor {
            username,
            protocol: "unix".to_owned(),
            address: "@".to_owned(),
        }))
    }
}
