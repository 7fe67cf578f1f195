//! From a TCP connection to one with TLS on it, each in a task of its own: nobody waits for a client that does not speak.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslAcceptor, SslAcceptorBuilder, SslContext, SslMethod, SslVerifyMode, SslVersion,
};
use rlxc_sys::chain::chain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_openssl::SslStream;

use super::crowd::Crowd;
use super::proxied;
use super::{ClientCertificate, Door, ServerCertificate};
use crate::error::{Cause, Error, Result};

/// Who has not finished the handshake by then is gone.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way at once; with more the oldest ends.
const HANDSHAKES: usize = 512;
/// After a refusal by the kernel, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection with TLS on it.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: SslStream<TcpStream>,
    /// The other end.
    pub address: SocketAddr,
    /// What the other end showed, and has the key of.
    pub certificate: Option<ClientCertificate>,
    /// Where it came in.
    pub door: Door,
}

/// What all sockets share: the certificate that is shown now, and where connections go.
#[derive(Debug)]
pub(super) struct Handshakes {
    sender: mpsc::Sender<Accepted>,
    context: RwLock<Option<SslContext>>,
    proxies: RwLock<Vec<IpAddr>>,
    under_way: Crowd,
}

impl Handshakes {
    /// Nothing is shown yet.
    pub(super) fn new(sender: mpsc::Sender<Accepted>) -> Self {
        Self {
            sender,
            context: RwLock::default(),
            proxies: RwLock::default(),
            under_way: Crowd::new(HANDSHAKES),
        }
    }

    /// Shows `certificate` to all who come from now on.
    pub(super) fn show(&self, certificate: &ServerCertificate) -> Result<()> {
        let made = context(certificate).map_err(Error::internal)?;
        *self.context.write().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(())
    }

    /// Believes these for whom they open a connection.
    pub(super) fn believe(&self, proxies: Vec<IpAddr>) {
        *self.proxies.write().unwrap_or_else(PoisonError::into_inner) = proxies;
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        let proxies = self.proxies.read().unwrap_or_else(PoisonError::into_inner);
        proxies.contains(&address.to_canonical())
    }

    fn context(&self) -> Option<SslContext> {
        self.context
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Takes what comes in at a socket, for ever.
pub(super) async fn accept(socket: TcpListener, door: Door, handshakes: Arc<Handshakes>) {
    loop {
        let (stream, address) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(context) = handshakes.context() else {
            continue;
        };
        let sender = handshakes.sender.clone();
        let is_proxied = handshakes.is_proxy(address.ip());
        let task = tokio::spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE_LIMIT, async {
                let mut stream = stream;
                let address = if is_proxied {
                    let told = proxied::client(&mut stream, address).await;
                    told.map_err(|error| Error::failed("learn the client from the proxy", error))?
                } else {
                    address
                };
                shake(stream, address, door, &context).await
            });
            match shaken.await {
                Ok(Ok(accepted)) => drop(sender.send(accepted).await),
                Ok(Err(error)) => {
                    tracing::debug!(%address, error = %chain(&error), "a TLS handshake did not succeed");
                }
                Err(_elapsed) => tracing::debug!(%address, "a TLS handshake took too long"),
            }
        });
        handshakes.under_way.admit(task.abort_handle());
    }
}

async fn shake(
    stream: TcpStream,
    address: SocketAddr,
    door: Door,
    context: &SslContext,
) -> Result<Accepted> {
    let failed = |error: Cause| Error::failed("shake hands", error);
    crate::tcp::tune(&stream).map_err(|error| failed(error.into()))?;
    let session = Ssl::new(context).map_err(|error| failed(error.into()))?;
    let mut stream = SslStream::new(session, stream).map_err(|error| failed(error.into()))?;
    Pin::new(&mut stream)
        .accept()
        .await
        .map_err(|error| failed(error.into()))?;
    let certificate = stream
        .ssl()
        .peer_certificate()
        .map(ClientCertificate::new)
        .transpose()?;
    Ok(Accepted {
        stream,
        address,
        certificate,
        door,
    })
}

/// TLS 1.3 only, or 1.2 too where `RLXC_INSECURE_TLS` asks for it.
fn versions() -> Result<SslAcceptorBuilder, ErrorStack> {
    if std::env::var_os("RLXC_INSECURE_TLS").is_some_and(|value| !value.is_empty()) {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        return Ok(builder);
    }
    let mut builder = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    Ok(builder)
}

/// Any client certificate passes the handshake, which proves that the client has its key; whether it is trusted is asked with
/// each request.
fn context(certificate: &ServerCertificate) -> Result<SslContext, ErrorStack> {
    let mut builder = versions()?;
    builder.set_certificate(certificate.x509())?;
    builder.set_private_key(certificate.key())?;
    builder.set_verify_callback(SslVerifyMode::PEER, |_verified, _store| true);
    // Without it sessions of clients with a certificate can't be resumed, see SSL_CTX_set_session_id_context(3). The keys of
    // tickets are the context's own: with another certificate old sessions begin anew.
    builder.set_session_id_context(b"rlxcd")?;
    // OpenSSL sends two by itself, and making each costs half of what our signature does.
    builder.set_num_tickets(1)?;
    Ok(builder.build().into_context())
}
