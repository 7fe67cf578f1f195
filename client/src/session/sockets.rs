//! Which websocket carries what.

use std::convert::Infallible;

use futures_util::StreamExt;
use rlxc_api::{ExecMetadata, Operation};
use tokio::sync::mpsc;

use super::pump::{drain, feed, steer};
use super::{Control, Streams};
use crate::connection::Connection;
use crate::error::ClientError;
use crate::url;
use crate::websocket::Socket;

/// The websockets of one session.
pub(super) struct Sockets<'a> {
    pub(super) connection: &'a Connection,
    pub(super) operation: &'a Operation,
    pub(super) metadata: &'a ExecMetadata,
}

impl Sockets<'_> {
    async fn open(&self, fd: &'static str) -> Result<Socket, ClientError> {
        let path = format!("{}/websocket", self.operation.url());
        let Some(secret) = self.metadata.fds.get(fd) else {
            return Err(ClientError::Incomplete {
                path,
                what: "the secret of a websocket",
            });
        };
        self.connection
            .websocket(&url::with_query(&path, "secret", secret))
            .await
    }

    pub(super) async fn carry_three(&self, mut streams: Streams) -> Result<(), ClientError> {
        let input = async {
            let (mut outgoing, mut incoming) = self.open("0").await?.split();
            tokio::select! {
                () = feed(&mut outgoing, &mut streams.input) => {}
                // Reading answers pings, and sees that the command has closed its stdin.
                () = async { while let Some(Ok(_)) = incoming.next().await {} } => {}
            }
            Ok::<_, ClientError>(())
        };
        let output = async {
            let (_, incoming) = self.open("1").await?.split();
            drain(incoming, &streams.output).await
        };
        let error = async {
            let (_, incoming) = self.open("2").await?.split();
            drain(incoming, &streams.error).await
        };
        let outputs = async { tokio::try_join!(output, error).map(|_| ()) };
        let input = async {
            match input.await {
                Ok(()) => std::future::pending().await,
                Err(error) => Err(error),
            }
        };
        tokio::select! {
            done = outputs => done,
            failed = input => failed,
        }
    }

    /// Sends control messages for as long as the session lasts; never returns.
    pub(super) async fn steer(&self, control: mpsc::Receiver<Control>) -> Infallible {
        // Old servers do without: then there is nobody to send a signal to.
        if let Ok(socket) = self.open("control").await {
            steer(socket, control).await;
        }
        std::future::pending().await
    }

    pub(super) async fn carry_terminal(&self, mut streams: Streams) -> Result<(), ClientError> {
        let (mut outgoing, incoming) = self.open("0").await?.split();
        let input = async {
            feed(&mut outgoing, &mut streams.input).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = drain(incoming, &streams.output) => done,
            () = input => Ok(()),
        }
    }

    pub(super) async fn carry_console(&self, mut streams: Streams) -> Result<(), ClientError> {
        let (data, control) = tokio::try_join!(self.open("0"), self.open("control"))?;
        let (mut outgoing, incoming) = data.split();
        let steering = async {
            steer(control, streams.control).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = drain(incoming, &streams.output) => done,
            () = feed(&mut outgoing, &mut streams.input) => Ok(()),
            () = steering => Ok(()),
        }
    }
}
