//! One stream and one websocket.

use std::io;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rlxc_api::InstanceExecControl;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::Control;
use crate::error::ClientError;
use crate::websocket::Socket;

/// Sends what comes from `input`, then the end of the stream. The other side may stop listening at any time: a
/// command need not read its stdin.
pub(super) async fn feed<S>(socket: &mut S, input: &mut mpsc::Receiver<Bytes>)
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

/// Hands on what comes until the stream ends.
pub(super) async fn drain(
    mut incoming: SplitStream<Socket>,
    output: &mpsc::Sender<Bytes>,
) -> Result<(), ClientError> {
    while let Some(message) = incoming.next().await {
        let bytes = match message {
            Ok(Message::Binary(bytes)) => bytes,
            // An empty text frame is the end; a text with content is from servers that take no care.
            Ok(Message::Text(text)) if !text.is_empty() => text.into(),
            // However it ends: the operation knows whether that was well.
            Ok(Message::Text(_) | Message::Close(_)) | Err(_) => break,
            Ok(_) => continue,
        };
        if output.send(bytes).await.is_err() {
            let nobody = io::ErrorKind::BrokenPipe.into();
            return Err(ClientError::io("write the output")(nobody));
        }
    }
    Ok(())
}

/// Sends control messages, and answers pings meanwhile. Closed, it would end the command: it stays open as long as this
/// runs, and returns when the other side has closed it.
pub(super) async fn steer(socket: Socket, mut control: mpsc::Receiver<Control>) {
    let (mut outgoing, mut incoming): (SplitSink<Socket, Message>, _) = socket.split();
    loop {
        tokio::select! {
            message = incoming.next() => if !matches!(message, Some(Ok(_))) { return },
            order = control.recv() => {
                let Some(order) = order else {
                    // Nobody will steer any more.
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
