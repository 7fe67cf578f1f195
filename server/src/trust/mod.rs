//! Who may come in from outside: the server's own certificate, the certificates of clients that are trusted, tokens, the
//! password, and the addresses that it listens on. What a request may do is decided in [`crate::http`].

mod address;
mod authority;
mod certificate;
mod crowd;
mod handshake;
mod listen;
mod password;
mod proxied;
mod server_certificate;
mod settings;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, Semaphore};

pub use address::{
    DEFAULT_PORT, ListenAddress, parse_address, parse_addresses, reachable_addresses,
};
pub use certificate::ClientCertificate;
pub use crowd::Crowd;
pub use handshake::Accepted;
pub use listen::{Door, Incoming, Listeners, Place};
pub use password::{hash_password, verify_password};
pub use server_certificate::ServerCertificate;
pub use settings::{CrossOrigin, Settings};
pub use token::{JoinToken, parse_lifetime, read_secret};

use authority::{Authority, Verdict};
use rlxc_sys::chain::chain;

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

/// What we think of a certificate that a client showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is trusted, as far as this goes.
    Trusted(Arc<Trusted>),
    /// We don't know it.
    Stranger,
    /// It would be trusted, but for this.
    Refused(String),
}

#[derive(Debug)]
struct Known {
    entry: Arc<Trusted>,
    der: Vec<u8>,
}

/// Everything about trust that the daemon keeps in memory.
#[derive(Debug)]
pub struct Trust {
    directory: PathBuf,
    own: Mutex<Option<Arc<ServerCertificate>>>,
    authority: Authority,
    known: RwLock<HashMap<String, Known>>,
    settings: RwLock<Arc<Settings>>,
    /// Addresses that are listened on.
    pub listeners: Listeners,
    /// One password is tried at a time: trying is expensive on purpose, for whoever guesses, not for us.
    pub password_gate: Semaphore,
}

impl Trust {
    /// Nobody is trusted yet. `directory` holds, or gets at first need, `server.crt` and `server.key`.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            own: Mutex::default(),
            authority: Authority::new(&directory),
            directory,
            known: RwLock::default(),
            settings: RwLock::default(),
            listeners: Listeners::new(),
            password_gate: Semaphore::new(1),
        }
    }

    /// The server's certificate, made if there is none.
    pub async fn server_certificate(&self) -> Result<Arc<ServerCertificate>> {
        let mut own = self.own.lock().await;
        if let Some(there) = &*own {
            return Ok(Arc::clone(there));
        }
        let directory = self.directory.clone();
        let made = Arc::new(blocking(move || ServerCertificate::ensure(&directory)).await?);
        self.listeners.show(&made)?;
        *own = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Shows another certificate from now on: what `write` puts into the daemon's directory. Connections go on.
    pub async fn change_certificate(
        &self,
        write: impl FnOnce(&Path) -> Result<ServerCertificate> + Send + 'static,
    ) -> Result<Arc<ServerCertificate>> {
        let mut own = self.own.lock().await;
        let directory = self.directory.clone();
        let made = Arc::new(blocking(move || write(&directory)).await?);
        self.listeners.show(&made)?;
        *own = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Reads the trusted certificates from the inventory again: whoever changes them calls this.
    pub async fn reload(&self, db: &Db) -> Result<()> {
        let mut known = HashMap::new();
        for trusted in db.read(db::certificates::list).await? {
            match ClientCertificate::from_pem(trusted.certificate.as_bytes()) {
                Ok(certificate) => {
                    let (der, entry) = (certificate.der().to_vec(), Arc::new(trusted));
                    known.insert(entry.fingerprint.clone(), Known { entry, der });
                }
                Err(error) => {
                    tracing::warn!(name = trusted.name, error = %chain(&error), "a trusted certificate is of no use");
                }
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// What a certificate is worth at this moment; compared as a whole, not by its fingerprint only.
    pub fn judge(&self, shown: &ClientCertificate) -> Standing {
        let entry = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known
                .get(shown.fingerprint())
                .filter(|known| known.der == shown.der())
                .map(|known| Arc::clone(&known.entry))
        };
        let verdict = self.authority.judge(shown.x509());
        let entry = match (entry, verdict) {
            (_, Verdict::Refused(reason)) => {
                return Standing::Refused(format!(
                    "the server's authority does not vouch for the client certificate: {reason}"
                ));
            }
            (Some(entry), _) => entry,
            (None, Verdict::Signed) if self.settings().trust_authority => vouched(shown),
            (None, _) => return Standing::Stranger,
        };
        shown
            .untimely()
            .map_or(Standing::Trusted(entry), Standing::Refused)
    }

    /// Refuses a certificate that could never get in: out of its time, or not signed by the authority where there is one.
    pub fn check_joining(&self, certificate: &ClientCertificate) -> Result<()> {
        if let Some(reason) = certificate.untimely() {
            return Err(Error::Invalid(reason));
        }
        match self.authority.judge(certificate.x509()) {
            Verdict::Refused(reason) => Err(Error::Invalid(format!(
                "the server's authority does not vouch for the client certificate: {reason}"
            ))),
            Verdict::NoAuthority | Verdict::Signed => Ok(()),
        }
    }

    /// What the configuration says of those who come in.
    pub fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&settings)
    }

    /// Listens where `settings` say, no longer anywhere else, and lets in whom they let in. On an error nothing has changed.
    pub async fn apply(&self, settings: Settings) -> Result<()> {
        let places = settings.places();
        if !places.is_empty() {
            self.server_certificate().await?;
        }
        self.listeners.apply(&places).await?;
        self.listeners.believe(settings.proxies.clone());
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        Ok(())
    }

    /// Serves the API on sockets that a service manager handed in.
    pub async fn adopt(&self, sockets: Vec<std::net::TcpListener>) -> Result<()> {
        if sockets.is_empty() {
            return Ok(());
        }
        self.server_certificate().await?;
        self.listeners
            .adopt(sockets)
            .await
            .map_err(|error| Error::failed("take over the sockets of the service manager", error))
    }
}

/// Whom the authority has signed for, where that is enough.
fn vouched(shown: &ClientCertificate) -> Arc<Trusted> {
    Arc::new(Trusted {
        fingerprint: shown.fingerprint().to_owned(),
        name: shown.common_name().unwrap_or_default(),
        kind: Kind::Client,
        restricted: false,
        projects: BTreeSet::new(),
        certificate: String::new(),
        description: String::new(),
    })
}
