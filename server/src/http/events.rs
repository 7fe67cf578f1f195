//! `/1.0/events`: a websocket that tells what happens.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use rlxc_api::Event;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::extract::{Params, upgrade};
use super::identity::{Caller, Rights};
use super::render::Reply;
use crate::context::App;
use crate::error::{Error, Result};

/// All there are.
const KINDS: [&str; 3] = ["operation", "lifecycle", "logging"];
/// How often a listener is asked whether it is there still.
const PING: Duration = Duration::from_secs(20);
/// Who has not answered for so long is gone.
const SILENCE: Duration = Duration::from_secs(70);
/// Who takes nothing for so long is hung up on: the connection's buffers are full, and it has lost events already.
const STALL: Duration = Duration::from_secs(20);
/// Listeners have nothing to say.
const LARGEST_MESSAGE: usize = 4096;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/events", get(listen))
}

/// What a listener wants to hear, and may.
struct Filter {
    kinds: Vec<&'static str>,
    project: Option<String>,
    rights: Rights,
}

impl Filter {
    fn new(params: &Params, rights: &Rights) -> Result<Self> {
        let may_hear = |kind: &str| kind != "logging" || *rights == Rights::All;
        let asked = params.kind.as_deref().unwrap_or_default();
        let mut kinds = Vec::new();
        for kind in asked.split(',').filter(|kind| !kind.is_empty()) {
            let known = KINDS.into_iter().find(|known| *known == kind);
            let known = known.ok_or_else(|| {
                Error::Invalid(format!(
                    "`{kind}` is no type of events: there are {}",
                    KINDS.join(", ")
                ))
            })?;
            if !may_hear(known) {
                return Err(Error::Forbidden);
            }
            kinds.push(known);
        }
        if kinds.is_empty() {
            kinds.extend(KINDS.into_iter().filter(|kind| may_hear(kind)));
        }
        Ok(Self {
            kinds,
            project: (!params.all_projects).then(|| params.project.clone()),
            rights: rights.clone(),
        })
    }

    fn hears_log(&self) -> bool {
        self.kinds.contains(&"logging")
    }

    /// The one place that decides who hears what.
    fn passes(&self, event: &Event) -> bool {
        let meant = self
            .project
            .as_ref()
            .is_none_or(|project| event.project.is_empty() || event.project == *project);
        // What is of no project is of the server.
        self.kinds.contains(&event.kind.as_str()) && meant && self.rights.reaches(&event.project)
    }
}

async fn listen(
    State(app): State<Arc<App>>,
    caller: Caller,
    params: Params,
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Reply {
    let filter = Filter::new(&params, &caller.rights)?;
    let upgrade = upgrade(asked)?
        .max_message_size(LARGEST_MESSAGE)
        .read_buffer_size(LARGEST_MESSAGE);
    // Subscribed before the reply: whoever sees the upgrade misses nothing that comes after it.
    let events = app.events.subscribe();
    let log = filter.hears_log().then(|| app.events.listen_to_log());
    let shutdown = app.shutdown.clone();
    Ok(upgrade.on_upgrade(|socket| async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = forward(socket, events, filter) => {}
        }
        drop(log);
    }))
}

async fn forward(mut socket: WebSocket, mut events: Receiver<Arc<Event>>, filter: Filter) {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_of = Instant::now();
    loop {
        let message = tokio::select! {
            event = events.recv() => match event {
                Ok(event) if filter.passes(&event) => {
                    Message::Text(serde_json::to_string(&*event).unwrap_or_default().into())
                }
                Ok(_) => continue,
                Err(RecvError::Lagged(lost)) => {
                    // Not to those who hear the log: that would make them lose more.
                    tracing::trace!(lost, "a listener is too slow for the events");
                    continue;
                }
                Err(RecvError::Closed) => return,
            },
            incoming = socket.recv() => match incoming {
                Some(Ok(_)) => {
                    heard_of = Instant::now();
                    continue;
                }
                _ => return,
            },
            _ = ping.tick() => {
                if heard_of.elapsed() > SILENCE {
                    return;
                }
                Message::Ping(Bytes::new())
            }
        };
        if !matches!(timeout(STALL, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn hears(rights: Rights, meant: Option<&str>, kind: &str, project: &str) -> bool {
        let filter = Filter {
            kinds: KINDS.to_vec(),
            project: meant.map(str::to_owned),
            rights,
        };
        filter.passes(&Event {
            kind: kind.to_owned(),
            project: project.to_owned(),
            ..Event::default()
        })
    }

    #[test]
    fn members_hear_of_their_projects_and_of_nothing_else() {
        let team = || Rights::Projects(BTreeSet::from(["team".to_owned()]));
        for (meant, kind, project, heard) in [
            (Some("team"), "operation", "team", true),
            (None, "lifecycle", "team", true),
            (None, "lifecycle", "other", false),
            (Some("team"), "lifecycle", "other", false),
            (None, "lifecycle", "", false),
            (None, "logging", "", false),
        ] {
            assert_eq!(
                hears(team(), meant, kind, project),
                heard,
                "{kind} of {project}"
            );
        }
        assert!(!hears(Rights::Public, None, "lifecycle", "default"));
    }

    #[test]
    fn administrators_hear_of_the_server_whichever_project_they_mean() {
        assert!(hears(Rights::All, Some("team"), "lifecycle", ""));
        assert!(hears(Rights::All, None, "logging", "team"));
        assert!(!hears(Rights::All, Some("team"), "lifecycle", "default"));
    }
}
