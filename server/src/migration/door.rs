//! Where the connections to another server come from, and the wait for them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use tokio::sync::oneshot;

use super::{Channel, Peer, Target};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::operation::{Class, Handle, OperationSpec};

/// How long another server, or a client that dials for it, may take to connect.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the connections to the other server come from.
#[derive(Debug)]
pub enum Connection {
    /// We dial.
    Dial(Target),
    /// It comes to us, and knows the secrets.
    Expect(BTreeMap<String, String>),
}

impl Connection {
    /// For who takes what another server sends.
    pub fn of_sink(mode: &str, target: Target, clock: &dyn Clock) -> Result<Self> {
        match mode {
            "" | "pull" => Ok(Self::Dial(target)),
            "push" | "relay" => Ok(Self::expect(clock)),
            other => Err(Error::Invalid(format!(
                "`{other}` is no mode of a migration: there are pull, push and relay"
            ))),
        }
    }

    /// For who sends: to the `target` of a request, or to who comes.
    pub fn of_source(target: Option<serde_json::Value>, clock: &dyn Clock) -> Result<Self> {
        match target {
            Some(target) => Ok(Self::Dial(Target::parse(target)?)),
            None => Ok(Self::expect(clock)),
        }
    }

    /// What an operation with these connections is.
    pub fn describe(&self, spec: &mut OperationSpec) {
        if matches!(self, Self::Expect(_)) {
            spec.class = Class::Websocket;
        }
        spec.metadata = self.metadata();
    }

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
    pub fn prepare(self, operation: &Handle) -> Door {
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
pub enum Door {
    /// We dial.
    Dial(Target),
    /// In the order of their names: control, files.
    Expect(Vec<oneshot::Receiver<WebSocket>>),
}

impl Door {
    /// Waits until both connections are there.
    pub async fn open(self) -> Result<Peer> {
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
