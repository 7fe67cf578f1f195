//! `/1.0/events`: a websocket that tells what happens.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use rlxc_api::Event;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::extract::Params;
use super::render::Reply;
use crate::context::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/events", get(listen))
}

/// What a listener wants to hear.
struct Filter {
    kinds: Vec<String>,
    project: Option<String>,
}

impl Filter {
    fn passes(&self, event: &Event) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        kind && self
            .project
            .as_ref()
            .is_none_or(|project| event.project.is_empty() || event.project == *project)
    }
}

async fn listen(State(app): State<Arc<App>>, params: Params, upgrade: WebSocketUpgrade) -> Reply {
    let kinds = params
        .kind
        .as_deref()
        .unwrap_or_default()
        .split(',')
        .filter(|kind| !kind.is_empty())
        .map(str::to_owned)
        .collect();
    let filter = Filter {
        kinds,
        project: (!params.all_projects).then_some(params.project),
    };
    // Subscribed before the reply: whoever sees the upgrade misses nothing that comes after it.
    let events = app.events.subscribe();
    let shutdown = app.shutdown.clone();
    Ok(upgrade.on_upgrade(|socket| async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = forward(socket, events, filter) => {}
        }
    }))
}

async fn forward(mut socket: WebSocket, mut events: Receiver<Arc<Event>>, filter: Filter) {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if filter.passes(&event) => {
                    let text = serde_json::to_string(&*event).unwrap_or_default();
                    if socket.send(Message::Text(text.into())).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "a listener is too slow for the events"),
                Err(RecvError::Closed) => return,
            },
            incoming = socket.recv() => if !matches!(incoming, Some(Ok(_))) { return },
        }
    }
}
