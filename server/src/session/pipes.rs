//! Pumps between websockets and pipes: a command without a terminal.

use std::io;
use std::os::fd::OwnedFd;

use axum::extract::ws::{Message, WebSocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::sockets::{finish, until};

const CHUNK: usize = 128 << 10;

/// A pipe whose `ours` end the daemon drives, and whose other end a command gets.
pub(super) struct Pipe {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

impl Pipe {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self { reader, writer })
    }
}

/// What the client sends becomes the command's stdin, until its end of stream.
pub(super) async fn feed(mut socket: WebSocket, stdin: OwnedFd) -> io::Result<()> {
    let mut stdin = pipe::Sender::from_owned_fd(stdin)?;
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Binary(bytes) => stdin.write_all(&bytes).await?,
            Message::Text(text) if text.is_empty() => break,
            Message::Text(text) => stdin.write_all(text.as_bytes()).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}

/// What the command writes goes to the client: until all its writers are gone or, once it has `ended`, until nothing is
/// left to read. A process that it left in the background does not hold the client.
pub(super) async fn drain(
    mut socket: WebSocket,
    stdout: OwnedFd,
    mut ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut stdout = pipe::Receiver::from_owned_fd(stdout)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            biased;
            count = stdout.read(&mut buffer) => count?,
            // The kernel is asked, not the runtime: it may not have heard yet of the command's last bytes.
            () = until(&mut ended) => match rustix::io::read(&stdout, &mut *buffer) {
                Ok(count) => count,
                Err(rustix::io::Errno::AGAIN) => 0,
                Err(error) => return Err(error.into()),
            },
        };
        if count == 0 {
            break;
        }
        if socket
            .send(Message::Binary(buffer[..count].to_vec().into()))
            .await
            .is_err()
        {
            // The client is gone: the command gets SIGPIPE when it goes on writing.
            return Ok(());
        }
    }
    finish(socket).await;
    Ok(())
}
