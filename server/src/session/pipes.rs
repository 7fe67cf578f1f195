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

/// What a command writes: until all its writers are gone or, once it has `ended`, until nothing is left to read. A
/// process that it left in the background holds nobody.
struct Output {
    stdout: pipe::Receiver,
    ended: watch::Receiver<bool>,
    buffer: Vec<u8>,
}

impl Output {
    fn new(stdout: OwnedFd, ended: watch::Receiver<bool>) -> io::Result<Self> {
        Ok(Self {
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            ended,
            buffer: vec![0; CHUNK],
        })
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<&[u8]> {
        let count = tokio::select! {
            biased;
            count = self.stdout.read(&mut self.buffer) => count?,
            // The kernel is asked, not the runtime: it may not have heard yet of the command's last bytes.
            () = until(&mut self.ended) => match rustix::io::read(&self.stdout, &mut *self.buffer) {
                Ok(count) => count,
                Err(rustix::io::Errno::AGAIN) => 0,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(&self.buffer[..count])
    }
}

/// What the command writes goes to the client.
pub(super) async fn drain(
    mut socket: WebSocket,
    stdout: OwnedFd,
    ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut output = Output::new(stdout, ended)?;
    loop {
        let bytes = output.next().await?;
        if bytes.is_empty() {
            break;
        }
        let message = Message::Binary(bytes.to_vec().into());
        if socket.send(message).await.is_err() {
            // The client is gone: the command gets SIGPIPE when it goes on writing.
            return Ok(());
        }
    }
    finish(socket).await;
    Ok(())
}

/// What the command writes goes to a file. The command does not get the file itself: it is the host's.
pub(super) async fn save(
    file: std::fs::File,
    stdout: OwnedFd,
    ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut output = Output::new(stdout, ended)?;
    let mut file = tokio::fs::File::from_std(file);
    loop {
        let bytes = output.next().await?;
        if bytes.is_empty() {
            return file.flush().await;
        }
        file.write_all(bytes).await?;
    }
}
