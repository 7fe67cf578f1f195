//! From a URL to a stream: name, TCP, proxy, TLS, all within one limit of time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::error::WebError;
use super::http::{timed_out, unreachable};
use super::proxy::ProxySettings;
use super::url::Url;

/// A server that doesn't take a connection within this is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const LONGEST_PROXY_ANSWER: usize = 8192;

/// Anything that bytes go through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How the request must be written.
pub(super) enum Route {
    /// To the server, through a tunnel perhaps.
    Direct,
    /// To a proxy that reads the whole URL.
    Proxy {
        /// For `Proxy-Authorization`.
        authorization: Option<String>,
    },
}

/// How a server proves that it is the one that is meant.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// An authority that the host trusts has signed its certificate for its name.
    Authorities,
    /// It has this very certificate.
    Certificate(Box<X509>),
}

/// Opens connections.
#[derive(Debug)]
pub(super) struct Connector {
    tls: SslConnector,
    /// The one certificate that is accepted, DER.
    pinned: Option<Vec<u8>>,
    proxies: ProxySettings,
}

impl Connector {
    /// Nothing is connected yet.
    pub(super) fn new(proxies: ProxySettings, proof: &Proof) -> io::Result<Self> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        let pinned = match proof {
            Proof::Authorities => None,
            Proof::Certificate(certificate) => {
                // A self-signed one proves nothing by its chain; it is compared as a whole.
                builder.set_verify(SslVerifyMode::NONE);
                Some(certificate.to_der()?)
            }
        };
        Ok(Self {
            tls: builder.build(),
            pinned,
            proxies,
        })
    }

    /// Connects to the server of `url`.
    pub(super) async fn connect(&self, url: &Url) -> Result<(Box<dyn Stream>, Route), WebError> {
        let proxy = self.proxies.find(url).map(Url::parse).transpose()?;
        let limited = tokio::time::timeout(CONNECT_LIMIT, self.open(url, proxy.as_ref())).await;
        limited
            .unwrap_or_else(|_| Err(timed_out("no connection within 5 s")))
            .map_err(|source| {
                if source.kind() == io::ErrorKind::PermissionDenied {
                    let server = url.authority();
                    return WebError::OtherCertificate { server };
                }
                unreachable(proxy.as_ref().unwrap_or(url), source)
            })
    }

    async fn open(&self, url: &Url, proxy: Option<&Url>) -> io::Result<(Box<dyn Stream>, Route)> {
        let Some(proxy) = proxy else {
            let stream = dial(&url.host, url.port).await?;
            return Ok((self.secure(url, stream).await?, Route::Direct));
        };
        if proxy.tls {
            return Err(io::Error::other("a proxy must be reached by http://"));
        }
        let authorization = proxy.credentials.as_deref().map(|credentials| {
            format!(
                "Basic {}",
                openssl::base64::encode_block(credentials.as_bytes())
            )
        });
        let mut stream = dial(&proxy.host, proxy.port).await?;
        if !url.tls {
            return Ok((Box::new(stream), Route::Proxy { authorization }));
        }
        open_tunnel(&mut stream, url, authorization).await?;
        Ok((self.secure(url, stream).await?, Route::Direct))
    }

    async fn secure(&self, url: &Url, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        if !url.tls {
            return Ok(Box::new(stream));
        }
        let mut configuration = self.tls.configure()?;
        if self.pinned.is_some() {
            configuration.set_verify_hostname(false);
        }
        let session = configuration.into_ssl(&url.host)?;
        let mut stream = SslStream::new(session, stream)?;
        Pin::new(&mut stream)
            .connect()
            .await
            .map_err(io::Error::other)?;
        if let Some(pinned) = &self.pinned {
            let shown = stream.ssl().peer_certificate();
            let shown = shown.map(|shown| shown.to_der()).transpose()?;
            if shown.as_ref() != Some(pinned) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
        }
        Ok(Box::new(stream))
    }
}

/// Tries each address of a name for its share of the time, so that a dead one (IPv6 without a route) doesn't take it all.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let shares = u32::try_from(addresses.len().clamp(1, 3)).unwrap_or(1);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match tokio::time::timeout(CONNECT_LIMIT / shares, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = timed_out("no answer to the connection"),
        }
    }
    Err(last)
}

/// Asks a proxy for a tunnel; RFC 9110, section 9.3.6.
async fn open_tunnel(
    stream: &mut TcpStream,
    url: &Url,
    authorization: Option<String>,
) -> io::Result<()> {
    let host = if url.host.contains(':') {
        format!("[{}]", url.host)
    } else {
        url.host.clone()
    };
    let target = format!("{host}:{}", url.port);
    let login = authorization.map_or_else(String::new, |value| {
        format!("Proxy-Authorization: {value}\r\n")
    });
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < LONGEST_PROXY_ANSWER {
        // Byte by byte: what follows the head belongs to TLS.
        answer.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&answer);
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(io::Error::other(format!("the proxy answered `{status}`")))
}
