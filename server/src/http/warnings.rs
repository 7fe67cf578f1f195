//! `/1.0/warnings`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{Timestamp, Warning, WarningPut};

use super::extract::{Body, Params};
use super::render::{Reply, done, listing, sync};
use crate::context::App;
use crate::db::warnings;
use crate::error::{Error, Result};

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/warnings", get(list)).route(
        "/1.0/warnings/{uuid}",
        get(show).put(update).patch(update).delete(remove),
    )
}

async fn load(app: &App) -> Result<Vec<Warning>> {
    let rows = app.db.read(warnings::list).await?;
    let view = |row: warnings::Warning| Warning {
        uuid: row.uuid,
        location: "none".to_owned(),
        project: row.project,
        kind: row.kind,
        count: row.count,
        first_seen_at: Timestamp(row.first_seen_at),
        last_seen_at: Timestamp(row.last_seen_at),
        last_message: row.message,
        severity: row.severity,
        entity_url: row.entity_url,
        status: row.status,
    };
    Ok(rows.into_iter().map(view).collect())
}

async fn list(State(app): Daemon, params: Params) -> Reply {
    listing(params.recursion, load(&app).await?, |item| {
        format!("/1.0/warnings/{}", item.uuid)
    })
}

async fn show(State(app): Daemon, Path(uuid): Path<String>) -> Reply {
    let found = load(&app)
        .await?
        .into_iter()
        .find(|warning| warning.uuid == uuid);
    sync(found.ok_or_else(|| Error::not_found("warning", uuid))?)
}

async fn update(
    State(app): Daemon,
    Path(uuid): Path<String>,
    Body(put): Body<WarningPut>,
) -> Reply {
    if !["new", "acknowledged"].contains(&put.status.as_str()) {
        return Err(Error::Invalid(format!(
            "a warning's status can be set to new or acknowledged, not to `{}`",
            put.status
        ))
        .into());
    }
    let key = uuid.clone();
    let found = app
        .db
        .write(move |tx| warnings::set_status(tx, &key, &put.status))
        .await?;
    if found {
        done()
    } else {
        Err(Error::not_found("warning", uuid).into())
    }
}

async fn remove(State(app): Daemon, Path(uuid): Path<String>) -> Reply {
    let key = uuid.clone();
    let found = app.db.write(move |tx| warnings::delete(tx, &key)).await?;
    if found {
        done()
    } else {
        Err(Error::not_found("warning", uuid).into())
    }
}
