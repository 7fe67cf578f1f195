//! Pumps between websockets and pipes: a command without a terminal.

use std::io;
use std::os::fd::OwnedFd;

use axum::extract::ws::{Message, WebSocket};
use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::sockets::{close, finish, linger, until};

/// Bytes that a pipe holds: fewer, and each side waits for the other all the time.
const PIPE: usize = 1 << 20;
/// The least and the most that is read at once: the more is there, the more.
const CHUNKS: std::ops::RangeInclusive<usize> = (16 << 10)..=(256 << 10);

/// A pipe whose `ours` end the daemon drives, and whose other end a command gets.
pub(super) struct Pipe {
    pub(super) reader: OwnedFd,
    pub(super) writer: OwnedFd,
}

impl Pipe {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        // A smaller one is slower, that is all.
        let _grown = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
        Ok(Self { reader, writer })
    }
}

/// What the client sends becomes the command's stdin, until its end of stream, or until the command reads no more or has
/// `ended`.
pub(super) async fn feed(
    mut socket: WebSocket,
    stdin: OwnedFd,
    mut ended: watch::Receiver<bool>,
) -> io::Result<()> {
    let fed = tokio::select! {
        fed = pass(&mut socket, stdin) => fed,
        () = until(&mut ended) => Ok(()),
    };
    close(&mut socket).await;
    linger(socket).await;
    fed
}

/// Ends with the client: what has sent its last byte still waits for the command's end.
async fn pass(socket: &mut WebSocket, stdin: OwnedFd) -> io::Result<()> {
    let mut stdin = Some(pipe::Sender::from_owned_fd(stdin)?);
    while let Some(Ok(message)) = socket.recv().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) if text.is_empty() => {
                stdin = None;
                continue;
            }
            Message::Text(text) => text.into(),
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        if let Some(stdin) = &mut stdin {
            stdin.write_all(&bytes).await?;
        }
    }
    Ok(())
}

/// What a command writes: until all its writers are gone or, once it has `ended`, until nothing is left to read. A
/// process that it left in the background holds nobody.
struct Output {
    stdout: pipe::Receiver,
    ended: watch::Receiver<bool>,
    buffer: BytesMut,
    chunk: usize,
}

impl Output {
    fn new(stdout: OwnedFd, ended: watch::Receiver<bool>) -> io::Result<Self> {
        Ok(Self {
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            ended,
            buffer: BytesMut::new(),
            chunk: *CHUNKS.start(),
        })
    }

    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<Bytes> {
        self.buffer.reserve(self.chunk);
        let mut room = (&mut self.buffer).limit(self.chunk);
        let count = tokio::select! {
            biased;
            count = self.stdout.read_buf(&mut room) => count?,
            () = until(&mut self.ended) => return self.rest(),
        };
        if count >= self.chunk {
            self.chunk = (self.chunk * 2).min(*CHUNKS.end());
        }
        Ok(self.buffer.split().freeze())
    }

    /// The kernel is asked, not the runtime: it may not have heard yet of the command's last bytes.
    fn rest(&self) -> io::Result<Bytes> {
        let mut rest = Vec::with_capacity(*CHUNKS.end());
        match rustix::io::read(&self.stdout, rustix::buffer::spare_capacity(&mut rest)) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(rest.into()),
            Err(error) => Err(error.into()),
        }
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
        if socket.send(Message::Binary(bytes)).await.is_err() {
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
        file.write_all(&bytes).await?;
    }
}
