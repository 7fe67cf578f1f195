//! `core.dns_address`: where DNS zones are given out, by UDP and TCP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rlxc_network::authority::{Query, Transport, answer};
use rlxc_sys::chain::chain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Mutex, Semaphore, watch};

use crate::app::network::zone::content::{self, Serials};
use crate::context::App;
use crate::error::{Error, Result};
use crate::model::Config;
use crate::trust;

/// Where it listens unless the address says.
pub const DEFAULT_PORT: u16 = 53;
/// The most that a query may take.
const LONGEST_QUERY: usize = 4096;
/// Zones are given out to a few servers: so many may ask at once.
const MOST_CONNECTIONS: usize = 32;
/// How long one that says nothing, or takes nothing, is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads `core.dns_address`: `10.0.0.1`, `10.0.0.1:5353`, `[::1]:5353`, `:53` for all.
pub fn parse_address(text: &str) -> Option<SocketAddr> {
    trust::parse_address(text, DEFAULT_PORT)
}

/// Sockets of one address.
#[derive(Debug)]
struct Sockets {
    address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    async fn open(address: SocketAddr) -> Result<Arc<Self>> {
        let mut opened = Self::bind(address, address).await;
        if let Err(error) = &opened
            && error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
            && address.ip().is_unspecified()
        {
            // A host without IPv6: all addresses are those of IPv4.
            let all = (Ipv4Addr::UNSPECIFIED, address.port()).into();
            opened = Self::bind(address, all).await;
        }
        opened.map(Arc::new).map_err(|error| {
            Error::failed(format!("`core.dns_address`: listen on {address}"), error)
        })
    }

    async fn bind(address: SocketAddr, at: SocketAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind(at).await?;
        let tcp = TcpListener::bind(at).await?;
        Ok(Self { address, udp, tcp })
    }
}

/// Where zones are given out at the moment.
#[derive(Debug, Default)]
pub struct Dns {
    open: watch::Sender<Option<Arc<Sockets>>>,
    /// What [`serve`] listens on, which follows `open`.
    served: watch::Sender<Option<SocketAddr>>,
    /// Held by whoever changes `open`.
    turn: Mutex<()>,
    /// The serials of the zones.
    pub serials: Serials,
}

impl Dns {
    /// Listens where the server's keys say.
    pub async fn apply(&self, config: &Config) -> Result<()> {
        let address = config.get("core.dns_address");
        self.listen(address.and_then(|text| parse_address(text)))
            .await
    }

    /// Listens on an address, or nowhere. What was listened on stays if the new address can't be had.
    async fn listen(&self, wanted: Option<SocketAddr>) -> Result<()> {
        let _turn = self.turn.lock().await;
        let current = self.open.borrow().as_ref().map(|sockets| sockets.address);
        if current == wanted {
            return Ok(());
        }
        let Some(address) = wanted else {
            self.open.send_replace(None);
            return Ok(());
        };
        let mut opened = Sockets::open(address).await;
        if let (Err(_), Some(current)) = (&opened, current) {
            // What is in the way may be our own: `:53` after `10.0.0.1:53`.
            self.close().await;
            opened = Sockets::open(address).await;
            if opened.is_err() {
                self.open.send_replace(Sockets::open(current).await.ok());
            }
        }
        self.open.send_replace(Some(opened?));
        Ok(())
    }

    async fn close(&self) {
        self.open.send_replace(None);
        let mut served = self.served.subscribe();
        let closed = served.wait_for(Option::is_none);
        // A daemon that ends listens no more, nor says so.
        let _in_time = tokio::time::timeout(PATIENCE, closed).await;
    }
}

/// Answers until the daemon ends, wherever it listens.
pub async fn serve(app: Arc<App>) {
    let mut changes = app.dns.open.subscribe();
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let sockets = changes.borrow_and_update().clone();
        let address = sockets.as_ref().map(|sockets| sockets.address);
        app.dns.served.send_replace(address);
        let listening = async {
            match &sockets {
                Some(sockets) => answer_all(&app, sockets, &slots).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            alive = changes.changed() => if alive.is_err() { return },
            () = listening => {}
        }
    }
}

async fn answer_all(app: &Arc<App>, sockets: &Sockets, slots: &Arc<Semaphore>) {
    let mut buffer = vec![0; LONGEST_QUERY];
    loop {
        tokio::select! {
            received = sockets.udp.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else { continue };
                let query = buffer.get(..length).unwrap_or_default().to_vec();
                let answers = look_up(app, query, from, Transport::Udp).await;
                if let Some(bytes) = answers.first()
                    && let Err(error) = sockets.udp.send_to(bytes, from).await
                {
                    tracing::debug!(%from, %error, "an answer was not sent");
                }
            }
            accepted = sockets.tcp.accept() => {
                let Ok((stream, from)) = accepted else {
                    // Out of descriptors, most likely: others may be closed soon.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let (app, slots) = (Arc::clone(app), Arc::clone(slots));
                app.tasks.clone().spawn(async move {
                    let Ok(_slot) = slots.try_acquire() else { return };
                    let talk = tokio::time::timeout(PATIENCE * 3, converse(&app, stream, from));
                    tokio::select! {
                        () = app.shutdown.cancelled() => {}
                        _ended = talk => {}
                    }
                });
            }
        }
    }
}

/// Queries of one connection, each with its length before it, RFC 1035 section 4.2.2.
async fn converse(app: &App, mut stream: TcpStream, from: SocketAddr) -> io::Result<()> {
    loop {
        let length = tokio::time::timeout(PATIENCE, stream.read_u16()).await??;
        let mut query = vec![0; usize::from(length)];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut query)).await??;
        let answers = look_up(app, query, from, Transport::Tcp).await;
        if answers.is_empty() {
            return Ok(());
        }
        for bytes in answers {
            let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes(), &bytes[..]].concat();
            tokio::time::timeout(PATIENCE, stream.write_all(&framed)).await??;
        }
    }
}

async fn look_up(
    app: &App,
    query: Vec<u8>,
    from: SocketAddr,
    transport: Transport,
) -> Vec<Vec<u8>> {
    let Some(query) = Query::read(query) else {
        return Vec::new();
    };
    let name = query.zone();
    let zone = content::load(app, &name, from.ip()).await;
    let zone = zone.unwrap_or_else(|error| {
        tracing::warn!(zone = name, error = %chain(&error), "a zone can't be read");
        None
    });
    answer(query, zone.as_ref(), from.ip(), transport)
}
