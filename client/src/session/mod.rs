//! Exec and console: their streams over websockets.
//!
//! Data are binary frames; an empty text frame ends a stream, both ways. Control messages are JSON. All websockets
//! of a session are opened at once, and the wait for its end is on its way before they are.

mod pump;
mod sockets;

use bytes::Bytes;
use rlxc_api::{ExecMetadata, InstanceConsolePost, InstanceExecPost, Operation};
use tokio::sync::mpsc;

use self::sockets::Sockets;
use crate::connection::{Connection, Reply};
use crate::error::ClientError;
use crate::url;

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

/// The local ends of a session. A closed `input` is the end of stdin; who takes no more `output` ends the session.
#[derive(Debug)]
pub struct Streams {
    /// What to send.
    pub input: mpsc::Receiver<Bytes>,
    /// Where stdout goes; all of the output where there is a terminal.
    pub output: mpsc::Sender<Bytes>,
    /// Where stderr goes.
    pub error: mpsc::Sender<Bytes>,
    /// What to tell.
    pub control: mpsc::Receiver<Control>,
}

impl Connection {
    /// Runs a command in an instance and carries its streams; gives back its exit code.
    ///
    /// 126 and 127 stand for "not executable" and "not found", 128 and more for signals, as in a shell.
    pub async fn exec(
        &self,
        instance: &str,
        request: &InstanceExecPost,
        mut streams: Streams,
    ) -> Result<i32, ClientError> {
        let path = format!("{}/exec", url::instance(instance));
        let (operation, metadata) = self.begin(&path, request).await?;
        let over = self.wait_for_end(&operation);
        let sockets = Sockets {
            connection: self,
            operation: &operation,
            metadata: &metadata,
        };
        // To the very end: a command whose control is lost is killed.
        let steering = sockets.steer(std::mem::replace(&mut streams.control, mpsc::channel(1).1));
        let carried = async {
            if request.interactive {
                sockets.carry_terminal(streams).await
            } else {
                sockets.carry_three(streams).await
            }
        };
        tokio::pin!(carried);
        let end = tokio::select! {
            end = Self::until_over(over, carried) => end?,
            never = steering => match never {},
        };
        exit_code(&path, end)
    }

    /// Attaches to the console of an instance, until `input` is closed or the instance stops.
    pub async fn console(
        &self,
        instance: &str,
        request: &InstanceConsolePost,
        streams: Streams,
    ) -> Result<(), ClientError> {
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
