//! Volumes as streams of their driver, over a websocket: see [`rlxc_storage::Driver::send`].

use std::os::fd::AsFd as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use rlxc_storage::{Driver, Piece, VolumeRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::MigrationError;
use super::channel::{Channel, Frame, Incoming};
use crate::context::blocking;

const CHUNK: usize = 128 << 10;

fn place(error: rlxc_storage::Error) -> MigrationError {
    MigrationError::Place(error.into())
}

/// Sends a piece of a volume.
pub(super) async fn send(
    channel: &mut Channel,
    (driver, volume): (&Arc<dyn Driver>, VolumeRef),
    piece: Piece,
) -> Result<(), MigrationError> {
    let broken = MigrationError::Broken;
    let (reader, writer) = std::io::pipe().map_err(broken)?;
    let mut reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(broken)?;
    let driver = Arc::clone(driver);
    let outgoing = &mut channel.outgoing;
    let carry = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = reader.read(&mut buffer).await.map_err(broken)?;
            if count == 0 {
                return Ok::<_, MigrationError>(());
            }
            let bytes = Bytes::copy_from_slice(&buffer[..count]);
            outgoing.send(Frame::Data(bytes)).await.map_err(broken)?;
        }
    };
    let sending = blocking(move || driver.send(volume, piece, writer.as_fd()));
    let (carried, sent) = tokio::join!(carry, sending);
    carried?;
    sent.map_err(place)?;
    channel.outgoing.send(Frame::End).await.map_err(broken)
}

/// Makes a piece of a volume of what comes. When this returns nothing more is made, however it ends.
pub(super) async fn receive(
    channel: &mut Channel,
    (driver, volume): (&Arc<dyn Driver>, VolumeRef),
    piece: Piece,
    cancelled: &CancellationToken,
) -> Result<(), MigrationError> {
    let broken = MigrationError::Broken;
    let (mut reader, writer) = std::io::pipe().map_err(broken)?;
    let writer = pipe::Sender::from_owned_fd(writer.into()).map_err(broken)?;
    let driver = Arc::clone(driver);
    let incoming = &mut channel.incoming;
    let carry = async move {
        tokio::select! {
            carried = fill(incoming, writer) => carried,
            // The end that makes something learns by the end of the pipe that this is not all.
            () = cancelled.cancelled() => Err(MigrationError::Cancelled),
        }
    };
    let receiving = blocking(move || driver.receive(volume, piece, &mut reader));
    let (carried, received) = tokio::join!(carry, receiving);
    carried?;
    received.map_err(place)
}

async fn fill(incoming: &mut Incoming, writer: pipe::Sender) -> Result<(), MigrationError> {
    let mut writer = Some(writer);
    loop {
        match incoming.next().await {
            Some(Ok(Frame::Data(bytes))) => {
                let Some(pipe) = &mut writer else { continue };
                if pipe.write_all(&bytes).await.is_err() {
                    // Whoever read has given up, and says itself why; the rest is read for nobody.
                    writer = None;
                }
            }
            Some(Ok(Frame::End)) => return Ok(()),
            Some(Ok(Frame::Close)) | None => return Err(MigrationError::Closed),
            Some(Err(error)) => return Err(MigrationError::Broken(error)),
        }
    }
}
