//! Requests to the daemon's socket byte by byte, for what no honest client sends.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::Daemon;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP code.
    pub status: u16,
    /// The lines before the body.
    pub head: String,
    /// The body as text.
    pub body: String,
}

impl Reply {
    /// The body as JSON, `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.to_lowercase() == name).then(|| value.trim())
        })
    }
}

/// A new connection; nobody waits longer than 20 s for anything on it.
pub fn connect(daemon: &Daemon) -> std::io::Result<UnixStream> {
    let stream = UnixStream::connect(daemon.dir().join("unix.socket"))?;
    stream.set_read_timeout(Some(crate::process::patient(Duration::from_secs(20))))?;
    stream.set_write_timeout(Some(crate::process::patient(Duration::from_secs(20))))?;
    Ok(stream)
}

/// Asks and reads the whole reply; `headers` as lines that end in `\r\n`.
#[track_caller]
pub fn ask(daemon: &Daemon, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    match send(daemon, request.as_bytes()) {
        Ok(reply) => reply,
        Err(error) => panic!("{method} {path}: {error}\n{}", daemon.log_tail()),
    }
}

/// Sends bytes as they are and reads until the daemon closes. What it no longer wants to read is not an error.
pub fn send(daemon: &Daemon, request: &[u8]) -> std::io::Result<Reply> {
    let mut stream = connect(daemon)?;
    let _taken = stream.write_all(request).is_ok();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // Refused before it was read to its end.
        Err(error) if bytes.is_empty() => return Err(error),
        _ => {}
    }
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Reply {
        status: status.unwrap_or_default(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Asks for a WebSocket; with 101 the stream is one.
pub fn upgrade(daemon: &Daemon, path: &str) -> std::io::Result<(u16, UnixStream)> {
    let mut stream = connect(daemon)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok((parse(&String::from_utf8_lossy(&head)).status, stream))
}

/// A frame of RFC 6455 from a client, masked by zeros; its length may be a lie.
pub fn frame(opcode: u8, claimed: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match (u8::try_from(claimed), u16::try_from(claimed)) {
        (Ok(short), _) if short < 126 => bytes.push(0x80 | short),
        (_, Ok(middle)) => {
            bytes.push(0xfe);
            bytes.extend(middle.to_be_bytes());
        }
        _ => {
            bytes.push(0xff);
            bytes.extend(claimed.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}
