//! TCP sockets that come and go at run time. What happens to connections is in [`super::handshake`].

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::handshake::{Accepted, Handshakes, accept};
use super::{ListenAddress, ServerCertificate};
use crate::error::{Error, Result};

/// Connections that wait for the server to take them.
const BACKLOG: usize = 64;

/// Connections of all addresses.
pub type Incoming = mpsc::Receiver<Accepted>;

/// What a socket leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The whole API.
    Api,
    /// Metrics and nothing else: `core.metrics_address`.
    Metrics,
}

/// Where to listen, and for what.
pub type Place = (ListenAddress, Door);

/// The sockets that are open.
#[derive(Debug)]
pub struct Listeners {
    incoming: StdMutex<Option<Incoming>>,
    open: Mutex<Vec<Listening>>,
    /// What a service manager handed in: it stays as long as the daemon, whatever the configuration says.
    inherited: Mutex<Vec<Listening>>,
    handshakes: Arc<Handshakes>,
}

#[derive(Debug)]
struct Listening {
    place: Place,
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
            incoming: StdMutex::new(Some(incoming)),
            open: Mutex::default(),
            inherited: Mutex::default(),
            handshakes: Arc::new(Handshakes::new(sender)),
        }
    }

    /// Where connections come out; for the one who serves them.
    pub fn take_incoming(&self) -> Option<Incoming> {
        self.incoming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Where the API is listened for.
    pub async fn addresses(&self) -> Vec<ListenAddress> {
        let (open, inherited) = (self.open.lock().await, self.inherited.lock().await);
        open.iter()
            .chain(inherited.iter())
            .filter(|one| one.place.1 == Door::Api)
            .map(|one| one.place.0)
            .collect()
    }

    /// Closes all sockets; connections go on.
    pub async fn close(&self) {
        for list in [&self.open, &self.inherited] {
            for one in list.lock().await.drain(..) {
                one.close().await;
            }
        }
    }

    /// Shows `certificate` to all who connect from now on.
    pub(super) fn show(&self, certificate: &ServerCertificate) -> Result<()> {
        self.handshakes.show(certificate)
    }

    /// Believes these, and nobody else, for whom they open a connection.
    pub(super) fn believe(&self, proxies: Vec<IpAddr>) {
        self.handshakes.believe(proxies);
    }

    /// Takes over sockets that are open already.
    pub(super) async fn adopt(&self, sockets: Vec<std::net::TcpListener>) -> io::Result<()> {
        let mut inherited = self.inherited.lock().await;
        for socket in sockets {
            socket.set_nonblocking(true)?;
            let place = (socket.local_addr()?, Door::Api);
            inherited.push(self.spawn(place, TcpListener::from_std(socket)?));
        }
        Ok(())
    }

    /// Listens on `wanted` and nothing else. Sockets that stay are not touched; on an error all is as before.
    pub(super) async fn apply(&self, wanted: &[Place]) -> Result<()> {
        let mut open = self.open.lock().await;
        let inherited = self.inherited.lock().await;
        let (mut kept, removed): (Vec<_>, Vec<_>) =
            open.drain(..).partition(|one| wanted.contains(&one.place));
        let added: Vec<_> = wanted
            .iter()
            .filter(|place| {
                let mut there = kept.iter().chain(inherited.iter());
                there.all(|one| one.place != **place)
            })
            .copied()
            .collect();
        let before: Vec<_> = removed.iter().map(|one| one.place).collect();
        let mut sockets = bind_all(&added).await;
        if sockets.is_err() && !removed.is_empty() {
            // What is in the way may be our own: `:8443` after `10.0.0.1:8443`.
            for one in removed {
                one.close().await;
            }
            sockets = bind_all(&added).await;
            if sockets.is_err() {
                let old = bind_all(&before).await.unwrap_or_default();
                kept.extend(
                    old.into_iter()
                        .map(|(place, socket)| self.spawn(place, socket)),
                );
            }
        } else if sockets.is_ok() {
            for one in removed {
                one.close().await;
            }
        }
        let result = sockets.map(|sockets| {
            let spawned = sockets
                .into_iter()
                .map(|(place, socket)| self.spawn(place, socket));
            kept.extend(spawned);
        });
        *open = kept;
        result
    }

    fn spawn(&self, place: Place, socket: TcpListener) -> Listening {
        tracing::info!(address = %place.0, door = ?place.1, "listening");
        let accepting = accept(socket, place.1, Arc::clone(&self.handshakes));
        Listening {
            place,
            task: tokio::spawn(accepting),
        }
    }
}

async fn bind_all(places: &[Place]) -> Result<Vec<(Place, TcpListener)>> {
    let mut sockets = Vec::new();
    for place in places {
        let socket = bind(place.0)
            .await
            .map_err(|error| Error::failed(format!("listen on {}", place.0), error))?;
        sockets.push((*place, socket));
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
