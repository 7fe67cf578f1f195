//! TCP and TLS: sockets that come and go at run time, handshakes beside the accept loop, never in it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod, SslVerifyMode, SslVersion};
use rlxc_sys::chain::chain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;

use super::{ClientCertificate, ListenAddress, ServerCertificate};
use crate::error::{Cause, Error, Result};

/// Who has not finished the handshake by then is gone.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way at once; more wait in the kernel's queue.
const HANDSHAKES: usize = 64;
/// Connections that wait for the server to take them.
const BACKLOG: usize = 64;
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
}

/// Connections of all addresses.
pub type Incoming = mpsc::Receiver<Accepted>;

/// The sockets that are open.
#[derive(Debug)]
pub struct Listeners {
    sender: mpsc::Sender<Accepted>,
    incoming: StdMutex<Option<Incoming>>,
    open: Mutex<Vec<Listening>>,
    handshakes: Arc<Semaphore>,
}

#[derive(Debug)]
struct Listening {
    address: ListenAddress,
    task: JoinHandle<()>,
}

impl Listening {
    /// The socket is closed when this returns.
    async fn close(self) {
        self.task.abort();
        // An error is the abort itself.
        drop(self.task.await);
    }
}

impl Listeners {
    /// None yet.
    pub(super) fn new() -> Self {
        let (sender, incoming) = mpsc::channel(BACKLOG);
        Self {
            sender,
            incoming: StdMutex::new(Some(incoming)),
            open: Mutex::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        }
    }

    /// Where connections come out; for the one who serves them.
    pub fn take_incoming(&self) -> Option<Incoming> {
        self.incoming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// What is listened on.
    pub async fn addresses(&self) -> Vec<ListenAddress> {
        let open = self.open.lock().await;
        open.iter().map(|one| one.address).collect()
    }

    /// Closes all sockets; connections go on.
    pub async fn close(&self) {
        for one in self.open.lock().await.drain(..) {
            one.close().await;
        }
    }

    /// Listens on `wanted` and nothing else. Sockets that stay are not touched; on an error all is as before.
    pub(super) async fn apply(
        &self,
        wanted: &[ListenAddress],
        certificate: Option<Arc<ServerCertificate>>,
    ) -> Result<()> {
        let mut open = self.open.lock().await;
        let (mut kept, removed): (Vec<_>, Vec<_>) = open
            .drain(..)
            .partition(|one| wanted.contains(&one.address));
        let added: Vec<_> = wanted
            .iter()
            .filter(|address| kept.iter().all(|one| one.address != **address))
            .copied()
            .collect();
        let Some(certificate) = certificate.filter(|_| !added.is_empty()) else {
            for one in removed {
                one.close().await;
            }
            *open = kept;
            return Ok(());
        };
        let context = match context(&certificate) {
            Ok(context) => context,
            Err(error) => {
                kept.extend(removed);
                *open = kept;
                return Err(Error::internal(error));
            }
        };
        let before: Vec<_> = removed.iter().map(|one| one.address).collect();
        let mut sockets = bind_all(&added).await;
        if sockets.is_err() && !removed.is_empty() {
            // What is in the way may be our own: `:8443` after `10.0.0.1:8443`.
            for one in removed {
                one.close().await;
            }
            sockets = bind_all(&added).await;
            if sockets.is_err() {
                let old = bind_all(&before).await.unwrap_or_default();
                kept.extend(old.into_iter().map(|socket| self.spawn(socket, &context)));
            }
        } else if sockets.is_ok() {
            for one in removed {
                one.close().await;
            }
        }
        let result = sockets.map(|sockets| {
            kept.extend(
                sockets
                    .into_iter()
                    .map(|socket| self.spawn(socket, &context)),
            );
        });
        *open = kept;
        result
    }

    fn spawn(
        &self,
        (address, socket): (ListenAddress, TcpListener),
        context: &SslContext,
    ) -> Listening {
        tracing::info!(%address, "listening");
        let accepting = accept(
            socket,
            context.clone(),
            self.sender.clone(),
            Arc::clone(&self.handshakes),
        );
        Listening {
            address,
            task: tokio::spawn(accepting),
        }
    }
}

async fn bind_all(addresses: &[ListenAddress]) -> Result<Vec<(ListenAddress, TcpListener)>> {
    let mut sockets = Vec::new();
    for address in addresses {
        let socket = bind(*address)
            .await
            .map_err(|error| Error::failed(format!("listen on {address}"), error))?;
        sockets.push((*address, socket));
    }
    Ok(sockets)
}

async fn bind(address: ListenAddress) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        // A host without IPv6: all addresses are those of IPv4.
        Err(error)
            if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
                && address.ip().is_unspecified() =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

async fn accept(
    socket: TcpListener,
    context: SslContext,
    sender: mpsc::Sender<Accepted>,
    handshakes: Arc<Semaphore>,
) {
    loop {
        let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
            return;
        };
        let (stream, address) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (context, sender) = (context.clone(), sender.clone());
        tokio::spawn(async move {
            let shaken = tokio::time::timeout(HANDSHAKE_LIMIT, shake(stream, address, &context));
            match shaken.await {
                Ok(Ok(accepted)) => drop(sender.send(accepted).await),
                Ok(Err(error)) => {
                    tracing::debug!(%address, error = %chain(&error), "a TLS handshake did not succeed");
                }
                Err(_elapsed) => tracing::debug!(%address, "a TLS handshake took too long"),
            }
            drop(permit);
        });
    }
}

async fn shake(stream: TcpStream, address: SocketAddr, context: &SslContext) -> Result<Accepted> {
    let failed = |error: Cause| Error::failed("shake hands", error);
    stream
        .set_nodelay(true)
        .map_err(|error| failed(error.into()))?;
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
    })
}

/// TLS 1.3 only. Any client certificate passes the handshake, which proves that the client has its key; whether it is
/// trusted is asked with each request.
fn context(certificate: &ServerCertificate) -> Result<SslContext, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    builder.set_certificate(certificate.x509())?;
    builder.set_private_key(certificate.key())?;
    builder.set_verify_callback(SslVerifyMode::PEER, |_verified, _store| true);
    // Without it sessions of clients with a certificate can't be resumed, see SSL_CTX_set_session_id_context(3).
    builder.set_session_id_context(b"rlxcd")?;
    Ok(builder.build().into_context())
}
