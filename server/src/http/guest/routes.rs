//! What a guest may ask, see <https://documentation.ubuntu.com/lxd/en/latest/dev-lxd/>. Replies have no envelope.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Path, Query};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use rlxc_api::{GuestEvent, GuestPatch, GuestServer};
use rlxc_sys::chain::chain;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Asker;
use crate::app::image;
use crate::http::extract::Body;
use crate::http::image_export;

/// The largest body.
const LARGEST_BODY: usize = 64 << 10;
/// The largest message on a websocket: a guest has nothing to say there.
const LARGEST_MESSAGE: usize = 4 << 10;
const READY: &str = "Ready";
const STARTED: &str = "Started";

type Guest = Extension<Asker>;

pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { Json(["/1.0"]) }))
        .route("/1.0", get(show).patch(tell))
        .route("/1.0/config", get(list_keys))
        .route("/1.0/config/{*key}", get(show_key))
        .route("/1.0/meta-data", get(meta_data))
        .route("/1.0/devices", get(devices))
        .route("/1.0/events", get(events))
        .route("/1.0/images/{fingerprint}/export", get(export))
        .fallback(|| async { missing() })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, "not found").into_response()
}

fn refused() -> Response {
    (StatusCode::FORBIDDEN, "not authorized").into_response()
}

fn plain(text: String) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream")], text).into_response()
}

async fn show(Extension(asker): Guest) -> Json<GuestServer> {
    Json(GuestServer {
        api_version: "1.0".to_owned(),
        instance_type: "container".to_owned(),
        location: "none".to_owned(),
        state: if asker.guest.facts().ready {
            READY
        } else {
            STARTED
        }
        .to_owned(),
    })
}

async fn tell(Extension(asker): Guest, Body(patch): Body<GuestPatch>) -> Response {
    let ready = match patch.state.as_str() {
        READY => true,
        STARTED => false,
        other => {
            let text = format!("the state can't be `{other}`: there are {STARTED} and {READY}");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    };
    match asker.guest.tell_ready(&asker.app, ready).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "the state of a guest is not noted");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn list_keys(Extension(asker): Guest) -> Json<Vec<String>> {
    let facts = asker.guest.facts();
    Json(
        facts
            .config
            .keys()
            .map(|key| format!("/1.0/config/{key}"))
            .collect(),
    )
}

async fn show_key(Extension(asker): Guest, Path(key): Path<String>) -> Response {
    if !key.starts_with("user.") && !key.starts_with("cloud-init.") {
        return refused();
    }
    match asker.guest.facts().config.get(&key) {
        Some(value) => plain(value.clone()),
        None => missing(),
    }
}

async fn meta_data(Extension(asker): Guest) -> Response {
    plain(asker.guest.facts().meta_data())
}

async fn devices(Extension(asker): Guest) -> Response {
    Json(&asker.guest.facts().devices).into_response()
}

/// Images that are public or that came from an image server; never what users of the host keep to themselves.
async fn export(Extension(asker): Guest, Path(fingerprint): Path<String>) -> Response {
    let facts = asker.guest.facts();
    if !facts.images {
        return refused();
    }
    let found = image::find(&asker.app, &facts.project, &fingerprint).await;
    match found {
        Ok(image) if image.public || image.cached => {
            let sent = image_export::send(&asker.app, &image).await;
            sent.unwrap_or_else(|error| {
                tracing::warn!(error = %chain(&error), "an image is not sent to a guest");
                missing()
            })
        }
        _ => missing(),
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(rename = "type", default)]
    kinds: String,
}

async fn events(
    Extension(asker): Guest,
    Query(wanted): Query<Wanted>,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Counted apart: an upgraded connection is no longer one of HTTP.
    let Ok(place) = Arc::clone(&asker.listeners).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many listeners").into_response();
    };
    // Subscribed before the reply: whoever sees the upgrade misses nothing that comes after it.
    let events = asker.guest.subscribe();
    let closed = asker.guest.closed().clone();
    upgrade
        .max_message_size(LARGEST_MESSAGE)
        .on_upgrade(move |socket| async move {
            tokio::select! {
                () = closed.cancelled() => {}
                () = asker.app.shutdown.cancelled() => {}
                () = forward(socket, events, &wanted.kinds) => {}
            }
            drop(place);
        })
}

async fn forward(mut socket: WebSocket, mut events: Receiver<Arc<GuestEvent>>, kinds: &str) {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if kinds.is_empty() || kinds.split(',').any(|kind| kind == event.kind) => {
                    let text = serde_json::to_string(&*event).unwrap_or_default();
                    if socket.send(Message::Text(text.into())).await.is_err() {
                        return;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            incoming = socket.recv() => if !matches!(incoming, Some(Ok(_))) { return },
        }
    }
}
