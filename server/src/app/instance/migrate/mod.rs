//! Instances that come from another server or go to one.

mod sink;
mod snapshot_row;
mod source;

pub use sink::receive;
pub(super) use sink::{Arrival, complete};
pub use source::send;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::migration::{Channel, Peer, Target};
use crate::operation::Handle;

/// How long another server, or a client that dials for it, may take to connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the connections to the other server come from.
#[derive(Debug)]
enum Connection {
    /// We dial.
    Dial(Target),
    /// It comes to us, and knows the secrets.
    Expect(BTreeMap<String, String>),
}

impl Connection {
    /// Secrets for the two connections of an operation.
    fn expect(clock: &dyn Clock) -> Self {
        let secret = || format!("{}{}", clock.uuid().simple(), clock.uuid().simple());
        Self::Expect(
            ["control", "fs"]
                .map(|name| (name.to_owned(), secret()))
                .into(),
        )
    }

    /// What the operation tells of them.
    fn metadata(&self) -> BTreeMap<String, serde_json::Value> {
        match self {
            Self::Dial(_) => BTreeMap::new(),
            Self::Expect(secrets) => secrets
                .iter()
                .map(|(name, secret)| (name.clone(), secret.clone().into()))
                .collect(),
        }
    }

    /// Lets the secrets open the operation from now on, before anybody hears of them.
    fn prepare(self, operation: &Handle) -> Door {
        match self {
            Self::Dial(target) => Door::Dial(target),
            Self::Expect(secrets) => Door::Expect(
                secrets
                    .into_values()
                    .map(|secret| operation.expect_socket(secret))
                    .collect(),
            ),
        }
    }
}

/// A [`Connection`] whose operation has begun.
#[derive(Debug)]
enum Door {
    Dial(Target),
    /// In the order of their names: control, files.
    Expect(Vec<oneshot::Receiver<WebSocket>>),
}

impl Door {
    async fn open(self) -> Result<Peer> {
        let places = match self {
            Self::Dial(target) => {
                return target
                    .dial()
                    .await
                    .map_err(|error| Error::failed("reach the other server", error));
            }
            Self::Expect(places) => places,
        };
        let late = || {
            Error::Invalid(format!(
                "nobody connected to the operation within {} s",
                PATIENCE.as_secs()
            ))
        };
        let mut channels = Vec::new();
        for place in places {
            match tokio::time::timeout(PATIENCE, place).await {
                Ok(Ok(socket)) => channels.push(Channel::from(socket)),
                Ok(Err(_)) | Err(_) => return Err(late()),
            }
        }
        let mut channels = channels.into_iter();
        let (control, files) = channels.next().zip(channels.next()).ok_or_else(late)?;
        Ok(Peer { control, files })
    }
}
