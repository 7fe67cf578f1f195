//! The way to a server: directly or through a proxy, with TLS or without.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::Uri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::is_tls;
use super::proxy::Proxy;
use crate::error::ClientError;
use crate::stream::Stream;
use crate::tls::{Address, Server, Trust};

/// A host that does not answer within this is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const LONGEST_ANSWER: usize = 8192;

/// A connection, and how requests on it are written.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) stream: Stream,
    /// It ends at a proxy, which must know the server.
    pub(super) takes_whole_url: bool,
    /// For the proxy.
    pub(super) authorization: Option<String>,
}

impl Way {
    pub(super) async fn open(uri: &Uri, authority: Option<&Path>) -> Result<Self, ClientError> {
        let server = address(uri);
        let found = Proxy::from_env(uri).map_err(io::Error::other);
        let proxy = found.map_err(ClientError::io("find the proxy in the environment"))?;
        let first = proxy.as_ref().map_or(&server, |proxy| &proxy.address);
        let failed = || ClientError::io(format!("connect to {first}"));
        let dialled = within(TcpStream::connect((first.host.as_str(), first.port))).await;
        let mut stream = dialled.map_err(failed())?;
        if !is_tls(uri) {
            return Ok(Self {
                stream: Stream::Plain(stream),
                takes_whole_url: proxy.is_some(),
                authorization: proxy.and_then(|proxy| proxy.authorization),
            });
        }
        if let Some(proxy) = &proxy {
            let tunnel = open_tunnel(&mut stream, &server, proxy.authorization.as_deref());
            within(tunnel).await.map_err(failed())?;
        }
        let server = Server::new(server, Trust::Authorities, None)
            .with_authority(authority.map(Path::to_owned))
            .with_tls_1_2();
        Ok(Self {
            stream: Stream::Tls(Box::new(server.secure(stream).await?)),
            takes_whole_url: false,
            authorization: None,
        })
    }
}

fn address(uri: &Uri) -> Address {
    let host = uri.host().unwrap_or_default();
    Address {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(if is_tls(uri) { 443 } else { 80 }),
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = tokio::time::timeout(CONNECT_LIMIT, work).await;
    done.unwrap_or_else(|_elapsed| {
        let text = format!("no answer within {} s", CONNECT_LIMIT.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

/// See RFC 9110, section 9.3.6.
async fn open_tunnel(
    stream: &mut TcpStream,
    server: &Address,
    authorization: Option<&str>,
) -> io::Result<()> {
    let proof = authorization.map_or_else(String::new, |authorization| {
        format!("Proxy-Authorization: {authorization}\r\n")
    });
    let request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n{proof}\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what follows the answer belongs to the server.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > LONGEST_ANSWER {
            return Err(io::Error::other("the proxy answers without an end"));
        }
        answer.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&answer);
    let first = text.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(io::Error::other(format!("the proxy says {first}")))
}
