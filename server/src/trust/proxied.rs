//! Connections that come by way of a proxy which says for whom: the PROXY protocol in both versions, as HAProxy's
//! `proxy-protocol.txt` describes it. Only who is in `core.https_trusted_proxy` is believed.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;

/// What a connection begins with that has TLS on it and no header: the type of a handshake record, RFC 8446, section 5.1.
const TLS: u8 = 22;
/// What a header of version 1 begins with: `PROXY `.
const TEXT: u8 = b'P';
/// The longest header of version 1, section 2.1.
const LONGEST_TEXT: usize = 107;
/// A header of version 2 until the length of its rest, section 2.2.
const FIXED: usize = 16;
/// More than any proxy says in version 2.
const LONGEST_REST: usize = 4096;

/// For whom a trusted proxy at `from` opened the connection: `from` itself if it does not say. What it says is taken off the
/// stream.
pub(super) async fn client(stream: &mut TcpStream, from: SocketAddr) -> io::Result<SocketAddr> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 || first[0] == TLS {
        return Ok(from);
    }
    let header = read(stream, first[0]).await?;
    let parsed = ProxyHeader::parse(&header, ParseConfig::default());
    let (header, _) = parsed.map_err(io::Error::other)?;
    let client = header.proxied_address();
    Ok(client.map_or(from, |client| client.source))
}

/// The header and no byte of what follows it.
async fn read(stream: &mut (impl AsyncRead + Unpin), first: u8) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other("the header of the proxy is too long");
    if first == TEXT {
        let mut header = Vec::with_capacity(LONGEST_TEXT);
        while !header.ends_with(b"\r\n") {
            if header.len() == LONGEST_TEXT {
                return Err(too_long());
            }
            header.push(stream.read_u8().await?);
        }
        return Ok(header);
    }
    let mut header = vec![0; FIXED];
    stream.read_exact(&mut header).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > LONGEST_REST {
        return Err(too_long());
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// Whom the other side speaks for when it begins so, and what is left on the stream.
    async fn told(begin: &[u8]) -> io::Result<(String, Vec<u8>)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let mut proxy = std::net::TcpStream::connect(listener.local_addr()?)?;
        proxy.write_all(begin)?;
        proxy.shutdown(std::net::Shutdown::Write)?;
        let (mut stream, _) = listener.accept().await?;
        let client = client(&mut stream, "192.0.2.1:1".parse().unwrap()).await?;
        let mut rest = Vec::new();
        let mut stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.read_to_end(&mut rest)?;
        Ok((client.to_string(), rest))
    }

    #[tokio::test]
    async fn both_versions_tell_the_client_and_nothing_is_lost() {
        let hello = [TLS, 3, 1];
        let after = |header: &[u8]| [header, &hello].concat();
        let signature = b"\r\n\r\n\0\r\nQUIT\n";
        let addresses = [10, 1, 2, 3, 10, 9, 9, 9, 0x30, 0x39, 0x20, 0xfb];
        let proxied = [signature.as_slice(), &[0x21, 0x11, 0, 12], &addresses].concat();
        let local = [signature.as_slice(), &[0x20, 0, 0, 0]].concat();
        for (header, client) in [
            (
                &b"PROXY TCP4 10.1.2.3 10.9.9.9 12345 8443\r\n"[..],
                "10.1.2.3:12345",
            ),
            (
                b"PROXY TCP6 fd00::3 fd00::9 12345 8443\r\n",
                "[fd00::3]:12345",
            ),
            (b"PROXY UNKNOWN\r\n", "192.0.2.1:1"),
            (&proxied, "10.1.2.3:12345"),
            (&local, "192.0.2.1:1"),
            (b"", "192.0.2.1:1"),
        ] {
            let (found, rest) = told(&after(header)).await.unwrap();
            assert_eq!((found.as_str(), rest.as_slice()), (client, &hello[..]));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY ".as_slice(), &[b'1'; 200], b"\r\n"].concat();
        for bad in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 1.2.3.4\r\n",
            b"PROXY",
            &long,
        ] {
            assert!(told(bad).await.is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
