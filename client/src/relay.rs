//! Carries a migration between two servers that can't reach each other.

use std::collections::BTreeMap;

use futures_util::{SinkExt, StreamExt};
use rlxc_api::Operation;
use tokio_tungstenite::tungstenite::Message;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::url;
use crate::websocket::Socket;

/// One of the two: where it is, its operation, and the secrets of that by name.
type Side<'a> = (&'a Connection, &'a Operation, &'a BTreeMap<String, String>);

/// Carries everything between the websockets of two operations, until one of the two has closed its own.
pub async fn relay(one: Side<'_>, other: Side<'_>) -> Result<(), ClientError> {
    let pair = |name: &'static str| async move {
        let (near, far) = (open(one, name).await?, open(other, name).await?);
        Ok::<_, ClientError>((near, far))
    };
    let (control, files) = (pair("control").await?, pair("fs").await?);
    tokio::join!(both_ways(control), both_ways(files));
    Ok(())
}

async fn open(side: Side<'_>, name: &'static str) -> Result<Socket, ClientError> {
    let (connection, operation, secrets) = side;
    let path = format!("{}/websocket", operation.url());
    let Some(secret) = secrets.get(name) else {
        return Err(ClientError::Incomplete {
            path,
            what: "the secret of a websocket",
        });
    };
    let path = url::with_query(&path, "secret", secret);
    connection.websocket(&path).await
}

async fn both_ways((one, other): (Socket, Socket)) {
    let ((mut to_one, mut from_one), (mut to_other, mut from_other)) = (one.split(), other.split());
    let there = async {
        while let Some(Ok(message)) = from_one.next().await {
            let last = matches!(message, Message::Close(_));
            if to_other.send(message).await.is_err() || last {
                break;
            }
        }
        drop(to_other.close().await);
    };
    let back = async {
        while let Some(Ok(message)) = from_other.next().await {
            let last = matches!(message, Message::Close(_));
            if to_one.send(message).await.is_err() || last {
                break;
            }
        }
        drop(to_one.close().await);
    };
    // Both sides close when they are done; when one is cut off, the other is told by the close.
    tokio::join!(there, back);
}
