//! The stream of events, `/1.0/events`.

use futures_util::StreamExt;
use rlxc_api::Event;
use tokio_tungstenite::tungstenite::Message;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::url;
use crate::websocket::Socket;

const PATH: &str = "/1.0/events";

/// Events as they happen.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
}

impl Connection {
    /// Opens the stream for some kinds of events, `operation`, `lifecycle`, `logging`; none stands for all.
    pub async fn events(&self, kinds: &[&str], all_projects: bool) -> Result<Events, ClientError> {
        let mut path = PATH.to_owned();
        if !kinds.is_empty() {
            path = url::with_query(&path, "type", &kinds.join(",")).replace("%2C", ",");
        }
        if all_projects {
            path = url::with_query(&path, "all-projects", "true");
        }
        Ok(Events {
            socket: self.websocket(&path).await?,
        })
    }
}

impl Events {
    /// The next event; `None` when the daemon ends the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        while let Some(message) = self.socket.next().await {
            match message.map_err(ClientError::websocket(PATH))? {
                Message::Text(text) => {
                    let event =
                        serde_json::from_str(&text).map_err(|source| ClientError::Reply {
                            path: PATH.to_owned(),
                            source,
                        })?;
                    return Ok(Some(event));
                }
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}
