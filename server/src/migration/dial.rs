//! Connecting to the operation of another server: its certificate is known, the secrets let us in.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::MigrationError;
use super::channel::{Channel, Peer};
use crate::error::{Cause, Error};
use crate::tcp;

/// A server that does not take a connection within this is not there.
const LIMIT: Duration = Duration::from_secs(10);

/// The operation of another server.
#[derive(Debug, Clone)]
pub struct Target {
    /// `https://HOST:PORT/1.0/operations/ID`.
    pub url: String,
    /// The certificate that the server must have, PEM; one that this host's authorities have signed if it is empty.
    pub certificate: String,
    /// Secrets of its websockets: `control`, `fs`.
    pub secrets: BTreeMap<String, String>,
}

impl Target {
    /// From the `target` of a request.
    pub fn parse(target: serde_json::Value) -> Result<Self, Error> {
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        struct Wire {
            certificate: String,
            operation: String,
            secrets: BTreeMap<String, String>,
        }
        let wire: Wire = serde_json::from_value(target).map_err(|error| {
            Error::Invalid(format!("`target` is not what it should be: {error}"))
        })?;
        Ok(Self {
            url: wire.operation,
            certificate: wire.certificate,
            secrets: wire.secrets,
        })
    }

    /// Opens both connections.
    pub async fn dial(&self) -> Result<Peer, MigrationError> {
        Ok(Peer {
            control: self.open("control").await?,
            files: self.open("fs").await?,
        })
    }

    async fn open(&self, name: &str) -> Result<Channel, MigrationError> {
        let failed = |source: Cause| MigrationError::Dial {
            url: self.url.clone(),
            source,
        };
        match tokio::time::timeout(LIMIT, self.connect(name)).await {
            Ok(done) => done.map_err(failed),
            Err(_elapsed) => Err(failed(io::Error::from(io::ErrorKind::TimedOut).into())),
        }
    }

    async fn connect(&self, name: &str) -> Result<Channel, Cause> {
        let rest = self
            .url
            .strip_prefix("https://")
            .ok_or("it is no `https://` URL")?;
        let (address, path) = rest.split_once('/').ok_or("it has no path")?;
        let (host, port) = split(address);
        let secret = self
            .secrets
            .get(name)
            .ok_or_else(|| format!("there is no secret for the websocket `{name}`"))?;
        let stream = TcpStream::connect((host, port)).await?;
        tcp::tune(&stream)?;
        let mut stream = SslStream::new(self.session(host)?, stream)?;
        Pin::new(&mut stream).connect().await?;
        self.check(&stream)?;
        let path = path.split('?').next().unwrap_or(path);
        let url = format!("wss://{address}/{path}/websocket?secret={secret}");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await?;
        Ok(Channel::dialled(socket))
    }

    fn session(&self, host: &str) -> Result<Ssl, Cause> {
        let mut builder = SslContext::builder(SslMethod::tls_client())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_3))?;
        if self.certificate.is_empty() {
            builder.set_default_verify_paths()?;
            builder.set_verify(SslVerifyMode::PEER);
        } else {
            // A self-signed certificate proves nothing by its chain; it is compared as a whole once it is there.
            builder.set_verify(SslVerifyMode::NONE);
        }
        let mut session = Ssl::new(&builder.build())?;
        match host.parse::<std::net::IpAddr>() {
            Ok(ip) => session.param_mut().set_ip(ip)?,
            Err(_name) => {
                session.set_hostname(host)?;
                session.param_mut().set_host(host)?;
            }
        }
        Ok(session)
    }

    fn check(&self, stream: &SslStream<TcpStream>) -> Result<(), Cause> {
        if self.certificate.is_empty() {
            return Ok(());
        }
        let known = X509::from_pem(self.certificate.as_bytes())?.to_der()?;
        let shown = stream.ssl().peer_certificate();
        let shown = shown.ok_or("it shows no certificate")?.to_der()?;
        if known == shown {
            return Ok(());
        }
        Err("it shows another certificate than the one that was announced".into())
    }
}

/// Host and port; an IPv6 address is in brackets.
fn split(address: &str) -> (&str, u16) {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(8443)),
        _ => (address, 443),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_ports_or_not() {
        assert_eq!(split("10.0.0.1:8443"), ("10.0.0.1", 8443));
        assert_eq!(split("[::1]:1"), ("::1", 1));
        assert_eq!(split("[::1]"), ("::1", 443));
        assert_eq!(split("box"), ("box", 443));
    }
}
