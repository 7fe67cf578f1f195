//! A daemon for tests: replies by hand, over a real socket.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::{Connection, Endpoint};

/// A request, as far as tests look at it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// `GET /1.0`.
    pub(crate) fn line(&self) -> &str {
        self.head
            .lines()
            .next()
            .unwrap()
            .trim_end_matches(" HTTP/1.1")
    }
}

/// What the fake says.
pub(crate) trait Script: Send + Sync + 'static {
    /// HTTP code and body.
    fn reply(&self, request: &Request) -> (u16, String);

    /// What happens on a websocket.
    fn websocket(
        &self,
        _path: &str,
        _socket: WebSocketStream<UnixStream>,
    ) -> impl Future<Output = ()> + Send {
        async { panic!("no websockets here") }
    }
}

/// A running fake.
pub(crate) struct Fake {
    pub(crate) connection: Connection,
    _directory: tempfile::TempDir,
}

impl Fake {
    pub(crate) fn start(script: impl Script) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path: PathBuf = directory.path().join("unix.socket");
        let listener = UnixListener::bind(&path).unwrap();
        let script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&script)));
            }
        });
        Self {
            connection: Connection::new(Endpoint::Unix(path), None),
            _directory: directory,
        }
    }
}

async fn serve(mut stream: UnixStream, script: Arc<impl Script>) {
    while let Some(request) = read(&mut stream).await {
        if let Some(key) = header(&request.head, "sec-websocket-key") {
            let accept = derive_accept_key(key.as_bytes());
            let reply = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            let path = request.line().trim_start_matches("GET ").to_owned();
            return script.websocket(&path, socket).await;
        }
        let (code, body) = script.reply(&request);
        let reply = format!(
            "HTTP/1.1 {code} X\r\nETag: \"t\"\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

async fn read(stream: &mut UnixStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length: usize = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let body = String::from_utf8_lossy(&bytes[end..]).into_owned();
    Some(Request { head, body })
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
