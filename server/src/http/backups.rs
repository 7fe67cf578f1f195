//! `/1.0/instances/{name}/backups`, and `POST /1.0/instances` with a backup as its body.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::routing::get;
use rlxc_api::{InstanceBackupPost, InstanceBackupsPost, Requestor};

use super::extract::{Body, Params};
use super::identity::Identity;
use super::octets::{from_file, incoming, made_by, said, wants_octets};
use super::render::{Reply, accepted, listing, sync};
use crate::app::instance::backup::{self, ImportOrder};
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/{name}/backups", get(list).post(create))
        .route(
            "/{name}/backups/{backup}",
            get(show).post(rename).delete(remove),
        )
        .route("/{name}/backups/{backup}/export", get(export))
}

async fn list(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let all = backup::list(&app, &params.project, &name).await?;
    listing(&params, all, |backup| {
        format!("/1.0/instances/{name}/backups/{}", backup.name)
    })
}

/// Makes a backup that waits to be fetched; or, for who accepts bytes only, is sent at once.
async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    request: Request,
) -> Reply {
    let at_once = wants_octets(request.headers());
    let Body(post) = Body::<InstanceBackupsPost>::from_request(request, &()).await?;
    let instance = (params.project.as_str(), name.as_str());
    if at_once {
        return made_by(backup::stream(&app, &who, instance, post).await?).await;
    }
    accepted(backup::create(&app, &who, instance, post).await?)
}

async fn show(
    State(app): Daemon,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
) -> Reply {
    sync(backup::get(&app, &params.project, (&name, &backup)).await?)
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
    Body(post): Body<InstanceBackupPost>,
) -> Reply {
    let path = (name.as_str(), backup.as_str());
    accepted(backup::rename(&app, &who, &params.project, path, &post.name).await?)
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
) -> Reply {
    accepted(backup::delete(&app, &who, &params.project, (&name, &backup)).await?)
}

async fn export(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, backup)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let file = backup::open(&app, &who, &params.project, (&name, &backup)).await?;
    Ok(from_file(file))
}

/// Unpacks the backup while it comes in. The reply waits for its end: clients read no reply before.
pub(super) async fn import(
    app: &Arc<App>,
    who: &Requestor,
    params: &Params,
    request: Request,
) -> Reply {
    let order = ImportOrder {
        name: said(request.headers(), "name"),
        pool: said(request.headers(), "pool"),
    };
    let (upload, rest) = incoming(request);
    let begun = backup::import(app, who, &params.project, order, upload).await;
    drop(rest.await);
    accepted(begun?)
}
