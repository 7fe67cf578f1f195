//! Who may come in from outside: the server's own certificate, the certificates of clients that are trusted, tokens, the
//! password, and the addresses that it listens on. What a request may do is decided in [`crate::http`].

mod address;
mod certificate;
mod listen;
mod password;
mod server_certificate;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OnceCell, Semaphore};

pub use address::{DEFAULT_PORT, ListenAddress, parse_addresses, reachable_addresses};
pub use certificate::ClientCertificate;
pub use listen::{Accepted, Incoming, Listeners};
pub use password::{hash_password, verify_password};
pub use server_certificate::ServerCertificate;
pub use token::{JoinToken, parse_lifetime, read_secret};

use crate::context::blocking;
use crate::db::{self, Db};
use crate::error::{Error, Result};

/// What a trusted certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All, or what its projects allow.
    Client,
    /// A server of the same cluster, in LXD; like a client here.
    Server,
    /// Reading metrics, nothing else.
    Metrics,
}

impl Kind {
    /// As the API writes it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Metrics => "metrics",
        }
    }

    /// Reads what the API writes; nothing means a client.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "client" => Some(Self::Client),
            "server" => Some(Self::Server),
            "metrics" => Some(Self::Metrics),
            _ => None,
        }
    }
}

/// A certificate that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// SHA-256 of its DER, in hexadecimal.
    pub fingerprint: String,
    /// For people.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Whether it reaches only `projects`.
    pub restricted: bool,
    /// Names of projects.
    pub projects: BTreeSet<String>,
    /// PEM.
    pub certificate: String,
    /// For people.
    pub description: String,
}

/// Everything about trust that the daemon keeps in memory.
#[derive(Debug)]
pub struct Trust {
    directory: PathBuf,
    own: OnceCell<Arc<ServerCertificate>>,
    known: RwLock<HashMap<String, Arc<Trusted>>>,
    /// Addresses that are listened on.
    pub listeners: Listeners,
    /// One password is tried at a time: trying is expensive on purpose, for whoever guesses, not for us.
    pub password_gate: Semaphore,
}

impl Trust {
    /// Nobody is trusted yet. `directory` holds, or gets at first need, `server.crt` and `server.key`.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            own: OnceCell::new(),
            known: RwLock::default(),
            listeners: Listeners::new(),
            password_gate: Semaphore::new(1),
        }
    }

    /// The server's certificate, made if there is none.
    pub async fn server_certificate(&self) -> Result<Arc<ServerCertificate>> {
        let directory = self.directory.clone();
        let made = self
            .own
            .get_or_try_init(|| async {
                blocking(move || ServerCertificate::ensure(&directory))
                    .await
                    .map(Arc::new)
            })
            .await?;
        Ok(Arc::clone(made))
    }

    /// Reads the trusted certificates from the inventory again: whoever changes them calls this.
    pub async fn reload(&self, db: &Db) -> Result<()> {
        let all = db.read(db::certificates::list).await?;
        let known = all
            .into_iter()
            .map(|trusted| (trusted.fingerprint.clone(), Arc::new(trusted)))
            .collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// The entry of a certificate that is trusted now and within its time; compared as a whole, not by its fingerprint only.
    pub fn find(&self, presented: &ClientCertificate) -> Option<Arc<Trusted>> {
        let entry = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.get(presented.fingerprint())?)
        };
        let same = ClientCertificate::from_pem(entry.certificate.as_bytes())
            .is_ok_and(|ours| ours.der() == presented.der());
        (same && presented.is_current()).then_some(entry)
    }

    /// Listens on what `core.https_address` says, and no longer on anything else. On an error nothing has changed.
    pub async fn listen(&self, text: &str) -> Result<()> {
        let wanted = parse_addresses(text).map_err(Error::Invalid)?;
        if wanted.is_empty() {
            return self.listeners.apply(&[], None).await;
        }
        let certificate = self.server_certificate().await?;
        self.listeners.apply(&wanted, Some(certificate)).await
    }
}
