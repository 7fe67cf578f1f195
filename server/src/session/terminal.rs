//! The pump between one websocket and one terminal, or a console's stream.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use axum::extract::ws::{Message, WebSocket};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch as latch;

use super::sockets::{finish, until};
use crate::readiness::watch;

const CHUNK: usize = 16 << 10;

/// Carries bytes both ways until the terminal is closed, the client is gone, or the command has `ended` and nothing is
/// left to read. Tells whether the client was there to the end.
pub(super) async fn pump(
    mut socket: WebSocket,
    terminal: OwnedFd,
    mut ended: latch::Receiver<bool>,
) -> io::Result<bool> {
    rustix::io::ioctl_fionbio(&terminal, true)?;
    let terminal = watch(terminal)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Binary(bytes))) => { write_all(&terminal, &bytes).await?; continue }
                Some(Ok(Message::Text(text))) => { write_all(&terminal, text.as_bytes()).await?; continue }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(false),
            },
            count = read(&terminal, &mut buffer) => count?,
            () = until(&mut ended) => read_now(&terminal, &mut buffer)?,
        };
        if count == 0 {
            finish(socket).await;
            return Ok(true);
        }
        if socket
            .send(Message::Binary(buffer[..count].to_vec().into()))
            .await
            .is_err()
        {
            return Ok(false);
        }
    }
}

async fn read(terminal: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut ready = terminal.readable().await?;
        match ready.try_io(|fd| closed_is_end(rustix::io::read(fd.as_fd(), &mut *buffer))) {
            Ok(result) => return result,
            Err(_would_block) => {}
        }
    }
}

fn read_now(terminal: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    match closed_is_end(rustix::io::read(terminal.as_fd(), buffer)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// A terminal whose last user closed it answers EIO.
fn closed_is_end(result: Result<usize, Errno>) -> io::Result<usize> {
    match result {
        Err(Errno::IO) => Ok(0),
        other => Ok(other?),
    }
}

async fn write_all(terminal: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = terminal.writable().await?;
        match ready.try_io(|fd| Ok(rustix::io::write(fd.as_fd(), bytes)?)) {
            Ok(Ok(count)) => bytes = &bytes[count..],
            // The command closed its terminal; what it wrote is still read.
            Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                return Ok(());
            }
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(())
}
