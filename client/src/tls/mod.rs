//! TLS to a daemon on another host: TLS 1.3, our certificate shown, theirs compared as a whole with the one that was accepted.

mod address;
mod identity;

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

pub use address::{Address, DEFAULT_PORT};
pub use identity::{Identity, read_certificate, valid_until};

use crate::error::ClientError;

/// A host that does not answer within this is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How the server proves that it is the one that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It has this very certificate, PEM.
    Pinned(Vec<u8>),
    /// An authority that this host trusts has signed its certificate for its name.
    Authorities,
    /// Not at all: to look at its certificate, and for nothing else.
    Nobody,
}

/// A server to connect to.
#[derive(Debug)]
pub struct Server {
    address: Address,
    trust: Trust,
    identity: Option<Identity>,
    authority: Option<PathBuf>,
    oldest: SslVersion,
    context: OnceLock<SslContext>,
}

impl Server {
    /// Nothing is read or sent yet.
    pub fn new(address: Address, trust: Trust, identity: Option<Identity>) -> Self {
        Self {
            address,
            trust,
            identity,
            authority: None,
            oldest: oldest_version(),
            context: OnceLock::new(),
        }
    }

    /// Trusts an authority, PEM, beside those of this host.
    #[must_use]
    pub fn with_authority(mut self, file: Option<PathBuf>) -> Self {
        self.authority = file;
        self
    }

    /// Takes TLS 1.2 too: for servers on the web, which need not be of our kind.
    #[must_use]
    pub(crate) fn with_tls_1_2(mut self) -> Self {
        self.oldest = SslVersion::TLS1_2;
        self
    }

    /// Host and port.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The certificate that the server shows, whoever it is: to be compared or asked about.
    pub async fn look(address: Address) -> Result<X509, ClientError> {
        let server = Self::new(address, Trust::Nobody, None);
        let stream = server.connect().await?;
        stream
            .ssl()
            .peer_certificate()
            .ok_or_else(|| server.failed("it showed no certificate".into()))
    }

    pub(crate) async fn connect(&self) -> Result<SslStream<TcpStream>, ClientError> {
        self.within(self.open()).await
    }

    /// TLS on a connection to it.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
    ) -> Result<SslStream<TcpStream>, ClientError> {
        self.within(self.shake_hands(stream)).await
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        match tokio::time::timeout(CONNECT_LIMIT, work).await {
            Ok(done) => done,
            Err(_elapsed) => Err(ClientError::Unreachable {
                address: self.address.to_string(),
                source: std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    format!("no answer within {} s", CONNECT_LIMIT.as_secs()),
                ),
            }),
        }
    }

    async fn open(&self) -> Result<SslStream<TcpStream>, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            address: self.address.to_string(),
            source,
        };
        let host = self.address.host.as_str();
        let stream = TcpStream::connect((host, self.address.port))
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        self.shake_hands(stream).await
    }

    async fn shake_hands(&self, stream: TcpStream) -> Result<SslStream<TcpStream>, ClientError> {
        let session = self.session()?;
        let mut stream =
            SslStream::new(session, stream).map_err(|error| self.failed(error.into()))?;
        Pin::new(&mut stream)
            .connect()
            .await
            .map_err(|error| self.failed(error.into()))?;
        if let Trust::Pinned(pem) = &self.trust {
            let shown = stream.ssl().peer_certificate();
            if !shown.is_some_and(|shown| is_same(&shown, pem)) {
                return Err(ClientError::OtherCertificate {
                    address: self.address.to_string(),
                });
            }
        }
        Ok(stream)
    }

    fn failed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> ClientError {
        ClientError::Tls {
            address: self.address.to_string(),
            source,
        }
    }

    fn session(&self) -> Result<Ssl, ClientError> {
        let context = if let Some(context) = self.context.get() {
            context
        } else {
            let made = self.make_context()?;
            self.context.get_or_init(|| made)
        };
        self.name(context)
            .map_err(|error| self.failed(error.into()))
    }

    fn name(&self, context: &SslContext) -> Result<Ssl, ErrorStack> {
        let mut session = Ssl::new(context)?;
        let host = self.address.host.as_str();
        match host.parse::<IpAddr>() {
            Ok(ip) => session.param_mut().set_ip(ip)?,
            Err(_name) => {
                session.set_hostname(host)?;
                session.param_mut().set_host(host)?;
            }
        }
        Ok(session)
    }

    fn make_context(&self) -> Result<SslContext, ClientError> {
        let broken = |error: ErrorStack| self.failed(error.into());
        let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(broken)?;
        builder
            .set_min_proto_version(Some(self.oldest))
            .map_err(broken)?;
        if self.trust == Trust::Authorities {
            builder.set_default_verify_paths().map_err(broken)?;
            if let Some(file) = &self.authority {
                builder.set_ca_file(file).map_err(broken)?;
            }
            builder.set_verify(SslVerifyMode::PEER);
        } else {
            // A self-signed certificate proves nothing by its chain; it is compared as a whole once it is there.
            builder.set_verify(SslVerifyMode::NONE);
        }
        if let Some(identity) = &self.identity {
            identity.show(&mut builder)?;
        }
        Ok(builder.build())
    }
}

/// Whether a certificate is the one in `pem`, whole.
fn is_same(shown: &X509, pem: &[u8]) -> bool {
    // Reading a certificate takes ten times as long as writing one, and this is how all write them.
    let written_alike = || shown.to_pem().is_ok_and(|shown| shown == pem);
    let read_alike = || {
        let pinned = X509::from_pem(pem).and_then(|pinned| pinned.to_der());
        pinned.is_ok_and(|pinned| shown.to_der().is_ok_and(|shown| shown == pinned))
    };
    written_alike() || read_alike()
}

/// TLS 1.3, or 1.2 too where `RLXC_INSECURE_TLS` asks for it.
fn oldest_version() -> SslVersion {
    if std::env::var_os("RLXC_INSECURE_TLS").is_some_and(|value| !value.is_empty()) {
        SslVersion::TLS1_2
    } else {
        SslVersion::TLS1_3
    }
}

/// SHA-256 of the DER, in hexadecimal: what people compare.
pub fn fingerprint(certificate: &X509) -> Result<String, ErrorStack> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect())
}

/// Base64, as tokens are written.
pub fn base64(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes)
}

/// Undoes [`base64`].
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    openssl::base64::decode_block(text.trim()).ok()
}
