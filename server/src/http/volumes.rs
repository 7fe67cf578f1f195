//! `/1.0/storage-pools/{pool}/volumes` and `/1.0/storage-volumes`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::routing::get;
use rlxc_api::{Requestor, StorageVolume, StorageVolumePost, StorageVolumePut, StorageVolumesPost};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::octets::is_upload;
use super::render::{Reply, accepted, created, done, listing, sync, tagged};
use crate::app::volume::{self, Sending, Target};
use crate::context::App;
use crate::error::Error;

type Daemon = State<Arc<App>>;
/// Pool, type and name.
type Names = Path<(String, String, String)>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/storage-volumes", get(list_everywhere))
        .route("/1.0/storage-volumes/{kind}", get(list_kind_everywhere))
        .route("/1.0/storage-pools/{pool}/volumes", get(list).post(create))
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}",
            get(list_kind).post(create_kind),
        )
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}",
            get(show)
                .put(change)
                .patch(change)
                .post(relocate)
                .delete(remove),
        )
        .route(
            "/1.0/storage-pools/{pool}/volumes/{kind}/{name}/state",
            get(state),
        )
}

/// The volume that a path and a query name.
pub(super) fn target<'a>(names: &'a (String, String, String), params: &'a Params) -> Target<'a> {
    let (pool, kind, name) = names;
    Target {
        project: &params.project,
        pool,
        kind,
        name,
    }
}

/// The same, and what belongs to it.
pub(super) fn within<'a>(
    names: &'a (String, String, String, String),
    params: &'a Params,
) -> (Target<'a>, &'a str) {
    let (pool, kind, name, inner) = names;
    let target = Target {
        project: &params.project,
        pool,
        kind,
        name,
    };
    (target, inner)
}

/// What callers may see: volumes of their projects; unpacked images are nobody's in particular.
fn shown(caller: &Caller, mut volumes: Vec<StorageVolume>) -> Vec<StorageVolume> {
    volumes.retain(|volume| {
        caller.reaches(&volume.project) && (volume.kind != "image" || caller.is_unrestricted())
    });
    volumes
}

async fn list_everywhere(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let volumes = volume::list_all(&app, params.of_one_project(), None).await?;
    listing(&params, shown(&caller, volumes), |item| {
        volume::url(&item.pool, item)
    })
}

async fn list_kind_everywhere(
    State(app): Daemon,
    caller: Caller,
    Path(kind): Path<String>,
    params: Params,
) -> Reply {
    let volumes = volume::list_all(&app, params.of_one_project(), Some(&kind)).await?;
    listing(&params, shown(&caller, volumes), |item| {
        volume::url(&item.pool, item)
    })
}

async fn list(
    State(app): Daemon,
    caller: Caller,
    Path(pool): Path<String>,
    params: Params,
) -> Reply {
    let volumes = volume::list(&app, params.of_one_project(), &pool, None).await?;
    listing(&params, shown(&caller, volumes), |item| {
        volume::url(&pool, item)
    })
}

async fn list_kind(
    State(app): Daemon,
    caller: Caller,
    Path((pool, kind)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let volumes = volume::list(&app, params.of_one_project(), &pool, Some(&kind)).await?;
    listing(&params, shown(&caller, volumes), |item| {
        volume::url(&pool, item)
    })
}

async fn create(
    state: Daemon,
    (caller, Identity(who)): (Caller, Identity),
    Path(pool): Path<String>,
    params: Params,
    Body(post): Body<StorageVolumesPost>,
) -> Reply {
    let kind = post.kind.clone();
    make(&state, &caller, &who, (&pool, &kind, &params), post).await
}

async fn create_kind(
    state: Daemon,
    (caller, Identity(who)): (Caller, Identity),
    Path((pool, kind)): Path<(String, String)>,
    params: Params,
    request: Request,
) -> Reply {
    if is_upload(request.headers()) {
        return super::volume_backups::import(&state, &who, (&pool, &kind, &params), request).await;
    }
    let Body(post) = Body::<StorageVolumesPost>::from_request(request, &()).await?;
    make(&state, &caller, &who, (&pool, &kind, &params), post).await
}

async fn make(
    app: &Arc<App>,
    caller: &Caller,
    who: &Requestor,
    (pool, kind, params): (&str, &str, &Params),
    mut post: StorageVolumesPost,
) -> Reply {
    kind.clone_into(&mut post.kind);
    let source = &post.source;
    if !source.project.is_empty() && !caller.reaches(&source.project) {
        return Err(Error::Forbidden.into());
    }
    if !source.kind.is_empty() {
        return accepted(volume::copy(app, who, &params.project, pool, post).await?);
    }
    let location = format!("/1.0/storage-pools/{pool}/volumes/custom/{}", post.name);
    volume::create(app, who, &params.project, pool, post).await?;
    created(&location)
}

async fn show(State(app): Daemon, caller: Caller, Path(names): Names, params: Params) -> Reply {
    let volume = volume::get(&app, target(&names, &params)).await?;
    let volume = shown(&caller, vec![volume]).pop();
    let volume = volume.ok_or_else(|| Error::not_found("storage volume", &names.2))?;
    let put = volume.put.clone();
    tagged(volume, &put)
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
    edit: Edit,
) -> Reply {
    let target = target(&names, &params);
    let current = volume::get(&app, target).await?.put;
    let put: StorageVolumePut = edit.apply("storage volume", &current)?;
    if put.restore.is_empty() {
        volume::update(&app, &who, target, put).await?;
    } else {
        volume::restore(&app, &who, target, &put.restore).await?;
    }
    done()
}

async fn relocate(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
    Body(post): Body<StorageVolumePost>,
) -> Reply {
    let target = target(&names, &params);
    if post.migration {
        let order = Sending {
            snapshot: None,
            volume_only: post.volume_only,
            target: post.target,
        };
        return accepted(volume::send(&app, &who, target, order).await?);
    }
    if !post.pool.is_empty() && post.pool != target.pool {
        return accepted(volume::relocate(&app, &who, target, post).await?);
    }
    created(&volume::rename(&app, &who, target, &post.name).await?)
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(names): Names,
    params: Params,
) -> Reply {
    volume::delete(&app, &who, target(&names, &params)).await?;
    done()
}

async fn state(State(app): Daemon, Path(names): Names, params: Params) -> Reply {
    sync(volume::state(&app, target(&names, &params)).await?)
}
