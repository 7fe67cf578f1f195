//! `/1.0/warnings`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use rlxc_api::{Requestor, Timestamp, Warning, WarningPut};

use super::edit::Edit;
use super::extract::Params;
use super::identity::Identity;
use super::render::{Reply, done, listing, tagged};
use crate::context::App;
use crate::db::warnings;
use crate::error::{Error, Result};

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/1.0/warnings", get(list)).route(
        "/1.0/warnings/{uuid}",
        get(show).put(change).patch(change).delete(remove),
    )
}

fn view(row: warnings::Warning) -> Warning {
    Warning {
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
    }
}

fn url(uuid: &str) -> String {
    format!("/1.0/warnings/{uuid}")
}

/// Of the project, if one is named; what belongs to no project is in `default`.
async fn list(State(app): Daemon, RawQuery(query): RawQuery, params: Params) -> Reply {
    let query = query.unwrap_or_default();
    let of_one = !params.all_projects && query.split('&').any(|part| part.starts_with("project="));
    let project = of_one.then(|| params.project.clone());
    let rows = app
        .db
        .read(move |tx| warnings::list(tx, project.as_deref()))
        .await?;
    let all = rows.into_iter().map(view).collect();
    listing(&params, all, |item: &Warning| url(&item.uuid))
}

async fn find(app: &App, uuid: &str) -> Result<Warning> {
    let key = uuid.to_owned();
    let found = app.db.read(move |tx| warnings::find(tx, &key)).await?;
    found
        .map(view)
        .ok_or_else(|| Error::not_found("warning", uuid))
}

fn writable(warning: &Warning) -> WarningPut {
    WarningPut {
        status: warning.status.clone(),
    }
}

async fn show(State(app): Daemon, Path(uuid): Path<String>) -> Reply {
    let found = find(&app, &uuid).await?;
    let put = writable(&found);
    tagged(found, &put)
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(uuid): Path<String>,
    edit: Edit,
) -> Reply {
    let put = edit.apply("warning", &writable(&find(&app, &uuid).await?))?;
    let action = match put.status.as_str() {
        "new" => "warning-reset",
        "acknowledged" => "warning-acknowledged",
        other => {
            return Err(Error::Invalid(format!(
                "a warning's status can be set to new or acknowledged, not to `{other}`"
            ))
            .into());
        }
    };
    let key = uuid.clone();
    let changed = app
        .db
        .write(move |tx| warnings::set_status(tx, &key, &put.status))
        .await?;
    tell(&app, action, changed, &uuid, &who)
}

async fn remove(State(app): Daemon, Identity(who): Identity, Path(uuid): Path<String>) -> Reply {
    let key = uuid.clone();
    let removed = app.db.write(move |tx| warnings::delete(tx, &key)).await?;
    tell(&app, "warning-deleted", removed, &uuid, &who)
}

fn tell(app: &App, action: &str, found: bool, uuid: &str, who: &Requestor) -> Reply {
    if !found {
        return Err(Error::not_found("warning", uuid).into());
    }
    app.resource_event(action, url(uuid), uuid, who);
    done()
}
