//! Who is asking. On the unix socket the kernel tells: whoever may open it is trusted. Over TLS the certificate tells, and
//! the trust store is asked with each request, so that a certificate that was removed is out at once.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Extensions;
use axum::http::request::Parts;
use axum::serve::IncomingStream;
use rlxc_api::Requestor;
use tokio::net::UnixListener;

use super::error::ApiError;
use crate::error::Error;
use crate::trust::{ClientCertificate, Door, Kind, Standing, Trust};

/// What the listener knows of a peer.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// On the unix socket.
    Unix { uid: Option<u32> },
    /// Over TLS, with the certificate that it showed.
    Tls {
        certificate: Option<Arc<ClientCertificate>>,
        address: SocketAddr,
        door: Door,
    },
}

#[cfg(test)]
impl Peer {
    /// Root, in tests.
    pub(super) fn root() -> Self {
        Self::Unix { uid: Some(0) }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::Unix {
            uid: stream.io().peer_cred().ok().map(|cred| cred.uid()),
        }
    }
}

/// How far a caller's arm reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rights {
    /// Everything.
    All,
    /// What belongs to these projects.
    Projects(BTreeSet<String>),
    /// Metrics and nothing else: of all projects, or of these.
    Metrics(Option<BTreeSet<String>>),
    /// What is public.
    Public,
}

/// The caller: who, and what they may do. Made once for each request, by [`super::access`].
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) requestor: Requestor,
    pub(super) rights: Rights,
    /// What it showed, trusted or not.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    /// Why a certificate that should be trusted is not.
    pub(super) objection: Option<String>,
    /// Where it came in.
    pub(super) door: Door,
}

impl Caller {
    /// Nobody, if the listener left no word of them.
    pub(super) fn of(extensions: &Extensions, trust: &Trust) -> Option<Self> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<Peer>>()?;
        Some(match peer {
            Peer::Unix { uid } => Self {
                requestor: Requestor {
                    username: match uid {
                        Some(0) => "root".to_owned(),
                        Some(uid) => uid.to_string(),
                        None => String::new(),
                    },
                    protocol: "unix".to_owned(),
                    address: "@".to_owned(),
                },
                rights: Rights::All,
                certificate: None,
                objection: None,
                door: Door::Api,
            },
            Peer::Tls {
                certificate,
                address,
                door,
            } => Self::over_tls(trust, certificate.as_ref(), *address, *door),
        })
    }

    fn over_tls(
        trust: &Trust,
        certificate: Option<&Arc<ClientCertificate>>,
        address: SocketAddr,
        door: Door,
    ) -> Self {
        let standing = certificate.map_or(Standing::Stranger, |shown| trust.judge(shown));
        let (rights, objection) = match standing {
            Standing::Stranger => (Rights::Public, None),
            Standing::Refused(reason) => (Rights::Public, Some(reason)),
            Standing::Trusted(trusted) if trusted.kind == Kind::Metrics => {
                let projects = trusted.restricted.then(|| trusted.projects.clone());
                (Rights::Metrics(projects), None)
            }
            Standing::Trusted(trusted) if trusted.restricted => {
                (Rights::Projects(trusted.projects.clone()), None)
            }
            Standing::Trusted(_) => (Rights::All, None),
        };
        Self {
            requestor: Requestor {
                username: certificate
                    .map_or_else(String::new, |shown| shown.fingerprint().to_owned()),
                protocol: "tls".to_owned(),
                address: address.to_string(),
            },
            rights,
            certificate: certificate.cloned(),
            objection,
            door,
        }
    }

    /// Whether the certificate with this fingerprint is the caller's own.
    pub(super) fn has_shown(&self, fingerprint: &str) -> bool {
        let shown = self.certificate.as_ref();
        shown.is_some_and(|shown| shown.fingerprint() == fingerprint)
    }

    /// Whether it is on this machine, at the socket.
    pub(super) fn is_local(&self) -> bool {
        self.requestor.protocol == "unix"
    }

    /// Whether it is somebody that we know.
    pub(super) fn is_trusted(&self) -> bool {
        self.rights != Rights::Public
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or(ApiError(Error::Forbidden))
    }
}

/// The caller, as events and operations name it.
#[derive(Debug, Clone)]
pub(super) struct Identity(pub Requestor);

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Ok(Self(
            Caller::from_request_parts(parts, state).await?.requestor,
        ))
    }
}
