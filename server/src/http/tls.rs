//! HTTPS: connections that [`crate::trust`] has shaken hands with, served like those of the unix socket.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_openssl::SslStream;

use super::identity::Peer;
use crate::context::App;
use crate::error::{Error, Result};
use crate::trust::{Accepted, ClientCertificate, Incoming};

/// Connections of clients that are not trusted, at once: they have little to do here, and must not take all descriptors.
const STRANGERS: usize = 128;

/// Where axum gets connections from.
pub(super) struct TlsListener {
    app: Arc<App>,
    incoming: Incoming,
    strangers: Arc<Semaphore>,
}

/// A connection and who is at the other end.
pub(super) struct TlsConnection {
    stream: SslStream<TcpStream>,
    address: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
    // Held as long as the connection.
    _stranger: Option<OwnedSemaphorePermit>,
}

impl TlsConnection {
    pub(super) fn peer(&self) -> Peer {
        Peer::Tls {
            certificate: self.certificate.clone(),
            address: self.address,
        }
    }
}

impl TlsListener {
    fn admit(&self, accepted: Accepted) -> Option<TlsConnection> {
        let Accepted {
            stream,
            address,
            certificate,
        } = accepted;
        let known = certificate
            .as_ref()
            .is_some_and(|shown| self.app.trust.find(shown).is_some());
        let stranger = if known {
            None
        } else {
            let Ok(permit) = Arc::clone(&self.strangers).try_acquire_owned() else {
                tracing::debug!(%address, "too many connections that are not trusted");
                return None;
            };
            Some(permit)
        };
        Some(TlsConnection {
            stream,
            address,
            certificate: certificate.map(Arc::new),
            _stranger: stranger,
        })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TlsConnection, SocketAddr) {
        loop {
            let Some(accepted) = self.incoming.recv().await else {
                // The daemon is ending; nobody comes any more.
                let never: Infallible = std::future::pending().await;
                match never {}
            };
            if let Some(connection) = self.admit(accepted) {
                let address = connection.address;
                return (connection, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        // There are many, or none.
        Ok((Ipv6Addr::UNSPECIFIED, 0).into())
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Serves what comes in on all addresses, until the daemon ends.
pub async fn serve_tls(app: Arc<App>, router: Router) -> Result<()> {
    let Some(incoming) = app.trust.listeners.take_incoming() else {
        return Ok(());
    };
    let shutdown = app.shutdown.clone();
    let listener = TlsListener {
        app: Arc::clone(&app),
        incoming,
        strangers: Arc::new(Semaphore::new(STRANGERS)),
    };
    axum::serve(
        listener,
        router.into_make_service_with_connect_info::<Peer>(),
    )
    .with_graceful_shutdown(async move {
        shutdown.cancelled().await;
        app.trust.listeners.close().await;
    })
    .await
    .map_err(|error| Error::failed("serve the API over TLS", error))
}
