//! Exec and console: their streams over websockets.
//!
//! Data are binary frames; an empty text frame ends a stream, both ways. Control messages are JSON. All websockets
//! of a session are opened at once, and the wait for its end is on its way before they are.

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rlxc_api::{
    ExecMetadata, InstanceConsolePost, InstanceExecControl, InstanceExecPost, Operation,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use crate::connection::{Connection, Reply};
use crate::error::ClientError;
use crate::url;
use crate::websocket::Socket;

/// What can be told to a running command or console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// The window has another size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Send a signal.
    Signal(i32),
}

/// The local ends of a session. A closed `input` is the end of stdin.
#[derive(Debug)]
pub struct Streams<O, E> {
    /// What to send.
    pub input: mpsc::Receiver<Bytes>,
    /// Where stdout goes; all of the output where there is a terminal.
    pub output: O,
    /// Where stderr goes.
    pub error: E,
    /// What to tell.
    pub control: mpsc::Receiver<Control>,
}

impl Connection {
    /// Runs a command in an instance and carries its streams; gives back its exit code.
    ///
    /// 126 and 127 stand for "not executable" and "not found", 128 and more for signals, as in a shell.
    pub async fn exec<O, E>(
        &self,
        instance: &str,
        request: &InstanceExecPost,
        streams: Streams<O, E>,
    ) -> Result<i32, ClientError>
    where
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        let path = format!("{}/exec", url::instance(instance));
        let (operation, metadata) = self.begin(&path, request).await?;
        let over = self.wait_for_end(&operation);
        let sockets = Sockets {
            connection: self,
            operation: &operation,
            metadata: &metadata,
        };
        let end = if request.interactive {
            let carried = sockets.carry_terminal(streams);
            tokio::pin!(carried);
            Self::until_over(over, carried).await?
        } else {
            let carried = sockets.carry_three(streams);
            tokio::pin!(carried);
            Self::until_over(over, carried).await?
        };
        exit_code(&path, end)
    }

    /// Attaches to the console of an instance, until `input` is closed or the instance stops.
    pub async fn console<O>(
        &self,
        instance: &str,
        request: &InstanceConsolePost,
        streams: Streams<O, tokio::io::Sink>,
    ) -> Result<(), ClientError>
    where
        O: AsyncWrite + Unpin,
    {
        let path = format!("{}/console", url::instance(instance));
        let (operation, metadata) = self.begin(&path, request).await?;
        let sockets = Sockets {
            connection: self,
            operation: &operation,
            metadata: &metadata,
        };
        sockets.carry_console(streams).await
    }

    async fn begin(
        &self,
        path: &str,
        request: &impl serde::Serialize,
    ) -> Result<(Operation, ExecMetadata), ClientError> {
        let Reply::Begun(operation) = self.post(path, request).await? else {
            return Err(ClientError::Incomplete {
                path: path.to_owned(),
                what: "an operation",
            });
        };
        let metadata = metadata(path, &operation)?;
        Ok((*operation, metadata))
    }

    /// The streams end first, most often, and then the command's status is known. Where the command is over but a
    /// stream is not (something in the background holds it), the daemon closes it.
    async fn until_over(
        over: impl Future<Output = Result<Operation, ClientError>>,
        mut carried: impl Future<Output = Result<(), ClientError>> + Unpin,
    ) -> Result<Operation, ClientError> {
        tokio::pin!(over);
        tokio::select! {
            streams = &mut carried => {
                let end = over.await?;
                // A command that never ran never had streams: its own error says more.
                if end.err.is_empty() {
                    streams?;
                }
                Ok(end)
            }
            end = &mut over => {
                let end = end?;
                if end.err.is_empty() {
                    carried.await?;
                }
                Ok(end)
            }
        }
    }
}

fn metadata(path: &str, operation: &Operation) -> Result<ExecMetadata, ClientError> {
    let map = operation.metadata.clone().unwrap_or_default();
    serde_json::from_value(map.into_iter().collect()).map_err(|source| ClientError::Reply {
        path: path.to_owned(),
        source,
    })
}

fn exit_code(path: &str, end: Operation) -> Result<i32, ClientError> {
    let code = metadata(path, &end)?.exit_code;
    match code {
        // The daemon's words ("command not found") go with these two, and the caller shows them.
        Some(code) if end.err.is_empty() || !(126..=127).contains(&code) => Ok(code),
        _ if !end.err.is_empty() => Err(ClientError::Operation {
            description: end.description,
            message: end.err,
            cancelled: false,
        }),
        _ => Err(ClientError::Incomplete {
            path: path.to_owned(),
            what: "an exit code",
        }),
    }
}

struct Sockets<'a> {
    connection: &'a Connection,
    operation: &'a Operation,
    metadata: &'a ExecMetadata,
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

    async fn carry_three<O, E>(&self, mut streams: Streams<O, E>) -> Result<(), ClientError>
    where
        O: AsyncWrite + Unpin,
        E: AsyncWrite + Unpin,
    {
        let input = async {
            let (mut outgoing, mut incoming) = self.open("0").await?.split();
            tokio::select! {
                () = feed(&mut outgoing, &mut streams.input) => {}
                // Reading answers pings, and sees that the command has closed its stdin.
                () = async { while let Some(Ok(_)) = incoming.next().await {} } => {}
            }
            Ok::<_, ClientError>(())
        };
        let control = async {
            // Old servers do without: then there is nobody to send a signal to.
            if let Ok(socket) = self.open("control").await {
                steer(socket, &mut streams.control).await;
            }
            std::future::pending::<()>().await;
        };
        let output = async {
            let (_, incoming) = self.open("1").await?.split();
            drain(incoming, &mut streams.output).await
        };
        let error = async {
            let (_, incoming) = self.open("2").await?.split();
            drain(incoming, &mut streams.error).await
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
            () = control => Ok(()),
        }
    }

    async fn carry_terminal<O, E>(&self, mut streams: Streams<O, E>) -> Result<(), ClientError>
    where
        O: AsyncWrite + Unpin,
    {
        let (data, control) = tokio::try_join!(self.open("0"), self.open("control"))?;
        let (mut outgoing, incoming) = data.split();
        let input = async {
            feed(&mut outgoing, &mut streams.input).await;
            std::future::pending::<()>().await;
        };
        let steering = async {
            steer(control, &mut streams.control).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = drain(incoming, &mut streams.output) => done,
            () = input => Ok(()),
            () = steering => Ok(()),
        }
    }

    async fn carry_console<O>(
        &self,
        mut streams: Streams<O, tokio::io::Sink>,
    ) -> Result<(), ClientError>
    where
        O: AsyncWrite + Unpin,
    {
        let (data, control) = tokio::try_join!(self.open("0"), self.open("control"))?;
        let (mut outgoing, incoming) = data.split();
        let steering = async {
            steer(control, &mut streams.control).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = drain(incoming, &mut streams.output) => done,
            () = feed(&mut outgoing, &mut streams.input) => Ok(()),
            () = steering => Ok(()),
        }
    }
}

/// Sends what comes from `input`, then the end of the stream. The other side may stop listening at any time: a
/// command need not read its stdin.
async fn feed<S>(socket: &mut S, input: &mut mpsc::Receiver<Bytes>)
where
    S: SinkExt<Message, Error = WsError> + Unpin,
{
    while let Some(bytes) = input.recv().await {
        if socket.send(Message::Binary(bytes)).await.is_err() {
            return;
        }
    }
    socket.send(Message::text("")).await.ok();
}

/// Writes what comes until the stream ends.
async fn drain<W: AsyncWrite + Unpin>(
    mut incoming: SplitStream<Socket>,
    writer: &mut W,
) -> Result<(), ClientError> {
    let failed = || ClientError::io("write the output");
    while let Some(message) = incoming.next().await {
        match message {
            Ok(Message::Binary(bytes)) => {
                writer.write_all(&bytes).await.map_err(failed())?;
                writer.flush().await.map_err(failed())?;
            }
            // An empty text frame is the end; a text with content is from servers that take no care.
            Ok(Message::Text(text)) if !text.is_empty() => {
                writer.write_all(text.as_bytes()).await.map_err(failed())?;
                writer.flush().await.map_err(failed())?;
            }
            // However it ends: the operation knows whether that was well.
            Ok(Message::Text(_) | Message::Close(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Sends control messages, and answers pings meanwhile.
async fn steer(socket: Socket, control: &mut mpsc::Receiver<Control>) {
    let (mut outgoing, mut incoming): (SplitSink<Socket, Message>, _) = socket.split();
    loop {
        tokio::select! {
            message = incoming.next() => if !matches!(message, Some(Ok(_))) { return },
            order = control.recv() => {
                let Some(order) = order else {
                    // Nobody will steer any more, but closing it would kill the command.
                    while let Some(Ok(_)) = incoming.next().await {}
                    return;
                };
                if outgoing.send(Message::text(render(order))).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn render(order: Control) -> String {
    let message = match order {
        Control::Resize { width, height } => InstanceExecControl {
            command: "window-resize".to_owned(),
            args: [
                ("width".to_owned(), width.to_string()),
                ("height".to_owned(), height.to_string()),
            ]
            .into(),
            signal: 0,
        },
        Control::Signal(signal) => InstanceExecControl {
            command: "signal".to_owned(),
            args: std::collections::BTreeMap::new(),
            signal,
        },
    };
    serde_json::to_string(&message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_travel_as_text() {
        assert_eq!(
            render(Control::Resize {
                width: 80,
                height: 24
            }),
            r#"{"command":"window-resize","args":{"height":"24","width":"80"},"signal":0}"#
        );
        assert_eq!(
            render(Control::Signal(15)),
            r#"{"command":"signal","args":{},"signal":15}"#
        );
    }
}
