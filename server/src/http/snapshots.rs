//! `/1.0/instances/{name}/snapshots`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::{
    InstancePost, InstanceSnapshot, InstanceSnapshotPost, InstanceSnapshotPut,
    InstanceSnapshotsPost,
};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::Identity;
use super::render::{Reply, accepted, listing, tagged};
use crate::app::instance;
use crate::context::App;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/{name}/snapshots", get(list).post(create))
        .route(
            "/{name}/snapshots/{snapshot}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
}

async fn list(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    let all = instance::snapshots(&app, &params.project, &name).await?;
    listing(&params, all, |snapshot| {
        format!("/1.0/instances/{name}/snapshots/{}", snapshot.name)
    })
}

async fn create(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<InstanceSnapshotsPost>,
) -> Reply {
    accepted(instance::create_snapshot(&app, &who, &params.project, &name, post).await?)
}

async fn show(
    State(app): Daemon,
    Path((name, snapshot)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let view = instance::snapshot(&app, &params.project, &name, &snapshot).await?;
    let put = writable(&view);
    tagged(view, &put)
}

fn writable(view: &InstanceSnapshot) -> InstanceSnapshotPut {
    InstanceSnapshotPut {
        expires_at: view.expires_at.clone(),
        description: view.description.clone(),
    }
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, snapshot)): Path<(String, String)>,
    params: Params,
    edit: Edit,
) -> Reply {
    let current = instance::snapshot(&app, &params.project, &name, &snapshot).await?;
    let put = edit.apply("snapshot", &writable(&current))?;
    accepted(instance::update_snapshot(&app, &who, &params.project, (&name, &snapshot), put).await?)
}

async fn rename(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, snapshot)): Path<(String, String)>,
    params: Params,
    Body(post): Body<InstanceSnapshotPost>,
) -> Reply {
    if post.migration {
        let source = format!("{name}/{snapshot}");
        let instance = (params.project.as_str(), source.as_str());
        let post = InstancePost {
            migration: true,
            live: post.live,
            target: post.target,
            ..InstancePost::default()
        };
        return accepted(instance::migrate::send(&app, &who, instance, post).await?);
    }
    accepted(
        instance::rename_snapshot(&app, &who, &params.project, (&name, &snapshot), &post.name)
            .await?,
    )
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path((name, snapshot)): Path<(String, String)>,
    params: Params,
) -> Reply {
    accepted(instance::delete_snapshot(&app, &who, &params.project, &name, &snapshot).await?)
}
