//! The websockets of a session: secrets first, connections later.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use rlxc_api::InstanceExecControl;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::operation::Handle;

/// How long a client may take to connect what it asked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a silent client is asked whether it is there.
const PING: Duration = Duration::from_secs(10);

/// How long a client may take to say goodbye once we have.
const FAREWELL: Duration = Duration::from_secs(2);

/// Secrets by name: `0`, `1`, `2`, `control`.
#[derive(Debug, Clone)]
pub(super) struct Secrets(BTreeMap<String, String>);

impl Secrets {
    pub(super) fn new(names: &[&str], clock: &dyn Clock) -> Self {
        let secret = || format!("{}{}", clock.uuid().simple(), clock.uuid().simple());
        Self(
            names
                .iter()
                .map(|name| ((*name).to_owned(), secret()))
                .collect(),
        )
    }

    /// As the operation's metadata shows them.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self.0)
    }

    /// Makes room for the connections.
    pub(super) fn expect(&self, operation: &Handle) -> Expected {
        let place = |(name, secret): (&String, &String)| {
            (name.clone(), operation.expect_socket(secret.clone()))
        };
        Expected(self.0.iter().map(place).collect())
    }
}

/// Connections that have not come yet.
#[derive(Debug)]
pub(super) struct Expected(BTreeMap<String, oneshot::Receiver<WebSocket>>);

impl Expected {
    /// Waits for one of them.
    pub(super) async fn take(&mut self, name: &str) -> Result<WebSocket> {
        let late = || {
            Error::Invalid(format!(
                "the client did not connect the websocket `{name}` within {} s",
                PATIENCE.as_secs()
            ))
        };
        let place = self.0.remove(name).ok_or_else(late)?;
        match tokio::time::timeout(PATIENCE, place).await {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(_)) | Err(_) => Err(late()),
        }
    }

    /// One of them that may come at any time, or never.
    pub(super) fn later(&mut self, name: &str) -> Option<oneshot::Receiver<WebSocket>> {
        self.0.remove(name)
    }
}

/// What a client asks for while a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// Its window has this size now.
    Resize { width: u16, height: u16 },
    /// Send the command this signal.
    Signal(i32),
}

/// The next request on a control connection; `None` once it is closed. Pings tell whether somebody is still there.
pub(super) async fn next_control(socket: &mut WebSocket) -> Option<Control> {
    loop {
        let received = tokio::select! {
            received = socket.recv() => received?,
            () = tokio::time::sleep(PING) => {
                socket.send(Message::Ping(bytes::Bytes::new())).await.ok()?;
                continue;
            }
        };
        let text = match received {
            Ok(Message::Text(text)) => text,
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => continue,
        };
        if let Some(control) = parse_control(&text) {
            return Some(control);
        }
    }
}

fn parse_control(text: &str) -> Option<Control> {
    let message: InstanceExecControl = serde_json::from_str(text).ok()?;
    match message.command.as_str() {
        "window-resize" => {
            let number = |key: &str| message.args.get(key)?.parse().ok();
            Some(Control::Resize {
                width: number("width")?,
                height: number("height")?,
            })
        }
        "signal" => Some(Control::Signal(message.signal)),
        _ => None,
    }
}

/// Waits until a command has ended; one whose watcher is gone has.
pub(super) async fn until(ended: &mut watch::Receiver<bool>) {
    drop(ended.wait_for(|ended| *ended).await);
}

/// Tells the client that a stream is over, and closes; nobody waits for the client's goodbye.
pub(super) async fn finish(mut socket: WebSocket) {
    // A client that is gone needs none.
    drop(socket.send(Message::Text(String::new().into())).await);
    close(&mut socket).await;
    tokio::spawn(linger(socket));
}

/// Says goodbye.
pub(super) async fn close(socket: &mut WebSocket) {
    drop(socket.send(Message::Close(None)).await);
}

/// Reads for a moment what a client sends that has not seen our goodbye yet, until its own. On a closed socket it would fail
/// there, and the reset that answers it takes along what the client has not read yet; see RFC 6455, section 7.1.1.
pub(super) async fn linger(mut socket: WebSocket) {
    let heard = async { while let Some(Ok(_)) = socket.recv().await {} };
    drop(tokio::time::timeout(FAREWELL, heard).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_control_messages_as_clients_send_them() {
        let resize = r#"{"command":"window-resize","args":{"width":"80","height":"24"}}"#;
        assert_eq!(
            parse_control(resize),
            Some(Control::Resize {
                width: 80,
                height: 24
            })
        );
        assert_eq!(
            parse_control(r#"{"command":"signal","signal":15}"#),
            Some(Control::Signal(15))
        );
        assert_eq!(parse_control(""), None);
        assert_eq!(
            parse_control(r#"{"command":"window-resize","args":{"width":"wide"}}"#),
            None
        );
    }
}
