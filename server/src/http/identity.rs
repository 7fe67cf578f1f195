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
use crate::app::project::of_user;
use crate::error::Error;
use crate::trust::{ClientCertificate, Door, Kind, Standing, Trust};

/// What the listener knows of a peer.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// On the unix socket.
    Unix { uid: Option<u32> },
    /// On the socket for users.
    User { uid: Option<u32> },
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
        super::listener::widen(stream.io());
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
    /// Metrics, of all projects or of these, and what is public.
    Metrics(Option<BTreeSet<String>>),
    /// What is public.
    Public,
}

impl Rights {
    /// Whether they reach to things of a project.
    pub(super) fn reaches(&self, project: &str) -> bool {
        match self {
            Self::All => true,
            Self::Projects(projects) => projects.contains(project),
            Self::Metrics(_) | Self::Public => false,
        }
    }
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
    /// Whose project it is about, for those who come by the socket for users.
    pub(super) user: Option<u32>,
}

fn on_this_host(uid: Option<u32>) -> Requestor {
    Requestor {
        username: match uid {
            Some(0) => "root".to_owned(),
            Some(uid) => uid.to_string(),
            None => String::new(),
        },
        protocol: "unix".to_owned(),
        address: "@".to_owned(),
    }
}

impl Caller {
    /// Nobody, if the listener left no word of them.
    pub(super) fn of(extensions: &Extensions, trust: &Trust) -> Option<Self> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<Peer>>()?;
        Some(match peer {
            Peer::Unix { uid } => Self {
                requestor: on_this_host(*uid),
                rights: Rights::All,
                certificate: None,
                objection: None,
                door: Door::Api,
                user: None,
            },
            Peer::User { uid } => Self {
                requestor: on_this_host(*uid),
                rights: uid.map_or(Rights::Public, |uid| {
                    Rights::Projects(BTreeSet::from([of_user::name_of(uid)]))
                }),
                certificate: None,
                objection: None,
                door: Door::Api,
                user: *uid,
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
                // Who comes by IPv4 to a socket of both families is shown as who they are.
                address: SocketAddr::new(address.ip().to_canonical(), address.port()).to_string(),
            },
            rights,
            certificate: certificate.cloned(),
            objection,
            door,
            user: None,
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

    /// Whether things of a project are for them to see.
    pub(super) fn reaches(&self, project: &str) -> bool {
        self.rights.reaches(project)
    }

    /// Refuses them a project that a body names beside the one of the request.
    pub(super) fn check_reach(&self, project: &str) -> Result<(), Error> {
        if project.is_empty() || self.reaches(project) {
            return Ok(());
        }
        Err(Error::Forbidden)
    }

    /// Takes away URLs of what they can't reach.
    pub(super) fn retain_urls(&self, urls: &mut Vec<String>) {
        let project = |url: &str| {
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let named = query
                .split('&')
                .find_map(|part| part.strip_prefix("project="));
            named.unwrap_or("default").to_owned()
        };
        urls.retain(|url| self.reaches(&project(url)));
    }

    /// Whether they may do all.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.rights == Rights::All
    }

    /// Whether it is somebody that we know.
    pub(super) fn is_trusted(&self) -> bool {
        !matches!(self.rights, Rights::Public | Rights::Metrics(_))
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
