//! A websocket to another server, whoever dialled.

use std::future::ready;
use std::io;
use std::pin::Pin;

use axum::extract::ws::{Message as Taken, WebSocket};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Dialled;

use super::MigrationError;

/// What goes over it. A stream of bytes ends with a frame of its own; the connection stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Data(Bytes),
    End,
    Close,
}

pub(super) type Outgoing = Pin<Box<dyn Sink<Frame, Error = io::Error> + Send>>;
pub(super) type Incoming = BoxStream<'static, io::Result<Frame>>;

/// One of the connections.
pub struct Channel {
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

/// Both connections to another server.
#[derive(Debug)]
pub struct Peer {
    /// Headers and the last word.
    pub control: Channel,
    /// Files.
    pub files: Channel,
}

impl From<WebSocket> for Channel {
    fn from(socket: WebSocket) -> Self {
        let (outgoing, incoming) = socket.split();
        let outgoing = outgoing
            .sink_map_err(io::Error::other)
            .with(|frame: Frame| {
                ready(Ok::<_, io::Error>(match frame {
                    Frame::Data(bytes) => Taken::Binary(bytes),
                    Frame::End => Taken::Text(String::new().into()),
                    Frame::Close => Taken::Close(None),
                }))
            });
        let incoming = incoming.filter_map(|message| {
            ready(match message {
                Ok(Taken::Binary(bytes)) => Some(Ok(Frame::Data(bytes))),
                Ok(Taken::Text(_)) => Some(Ok(Frame::End)),
                Ok(Taken::Close(_)) => Some(Ok(Frame::Close)),
                Ok(Taken::Ping(_) | Taken::Pong(_)) => None,
                Err(error) => Some(Err(io::Error::other(error))),
            })
        });
        Self {
            outgoing: Box::pin(outgoing),
            incoming: incoming.boxed(),
        }
    }
}

impl Channel {
    pub(super) fn dialled<S>(socket: WebSocketStream<S>) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (outgoing, incoming) = socket.split();
        let outgoing = outgoing
            .sink_map_err(io::Error::other)
            .with(|frame: Frame| {
                ready(Ok::<_, io::Error>(match frame {
                    Frame::Data(bytes) => Dialled::Binary(bytes),
                    Frame::End => Dialled::Text(String::new().into()),
                    Frame::Close => Dialled::Close(None),
                }))
            });
        let incoming = incoming.filter_map(|message| {
            ready(match message {
                Ok(Dialled::Binary(bytes)) => Some(Ok(Frame::Data(bytes))),
                Ok(Dialled::Text(_)) => Some(Ok(Frame::End)),
                Ok(Dialled::Close(_)) => Some(Ok(Frame::Close)),
                Ok(_) => None,
                Err(error) => Some(Err(io::Error::other(error))),
            })
        });
        Self {
            outgoing: Box::pin(outgoing),
            incoming: incoming.boxed(),
        }
    }

    pub(super) async fn send(&mut self, message: Bytes) -> Result<(), MigrationError> {
        let frame = Frame::Data(message);
        self.outgoing
            .send(frame)
            .await
            .map_err(MigrationError::Broken)
    }

    pub(super) async fn receive(&mut self) -> Result<Bytes, MigrationError> {
        loop {
            match self.incoming.next().await {
                Some(Ok(Frame::Data(bytes))) => return Ok(bytes),
                Some(Ok(Frame::End)) => {}
                Some(Ok(Frame::Close)) | None => return Err(MigrationError::Closed),
                Some(Err(error)) => return Err(MigrationError::Broken(error)),
            }
        }
    }

    /// Says goodbye; who is gone needs none.
    pub async fn close(mut self) {
        drop(self.outgoing.send(Frame::Close).await);
    }
}
