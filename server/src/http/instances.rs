//! `/1.0/instances`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::routing::{get, post};
use rlxc_api::{
    InstancePost, InstanceRebuildPost, InstanceSource, InstanceStatePut, InstancesPost,
    InstancesPut,
};

use super::edit::Edit;
use super::extract::{Body, Params};
use super::identity::{Caller, Identity};
use super::render::{Reply, accepted, done, listing, sync, tagged};
use super::{files, instance_metadata, logs, sessions, sftp, snapshots};
use crate::app::instance::{self, Destination, View};
use crate::context::{App, instance_url};
use crate::error::Error;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(list).post(create).put(change_all))
        .route(
            "/{name}",
            get(show)
                .put(change)
                .patch(change)
                .post(rename)
                .delete(remove),
        )
        .merge(super::backups::routes())
        .route("/{name}/state", get(state).put(change_state))
        .route("/{name}/rebuild", post(rebuild))
        .merge(sessions::routes())
        .merge(files::routes())
        .merge(sftp::routes())
        .merge(instance_metadata::routes())
        .merge(logs::routes())
        .merge(snapshots::routes())
}

/// What there is besides: another list, which is empty here.
pub(super) fn of_other_kinds() -> Router<Arc<App>> {
    Router::new().route("/1.0/virtual-machines", get(list_virtual_machines))
}

async fn list_virtual_machines() -> Reply {
    sync::<[String; 0]>([])
}

/// Whether a list shall have the containers.
fn lists_containers(params: &Params) -> Result<bool, Error> {
    match params.instance_type.as_deref() {
        None | Some("container") => Ok(true),
        Some("virtual-machine") => Ok(false),
        Some(other) => Err(Error::Invalid(format!(
            "`instance-type={other}`: there are container and virtual-machine"
        ))),
    }
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    if !lists_containers(&params)? {
        return list_virtual_machines().await;
    }
    let project = params.of_one_project();
    let view = match (params.recursion, params.fields.as_deref()) {
        (0 | 1, _) => View::Plain,
        (_, Some("state.network.addresses")) => View::Addresses,
        _ => View::Full,
    };
    let mut all = instance::list(&app, project, view).await?;
    all.retain(|full| caller.reaches(&full.instance.project));
    if params.recursion >= 2 {
        return sync(params.select(all)?);
    }
    let plain: Vec<_> = all.into_iter().map(|full| full.instance).collect();
    listing(&params, plain, |item| {
        instance_url(&item.project, &item.name)
    })
}

/// What a source names here must be what the caller reaches; a project of another server is that one's business.
fn check_source(caller: &Caller, source: &InstanceSource) -> Result<(), Error> {
    if source.kind == "image" && !source.server.is_empty() {
        return Ok(());
    }
    caller.check_reach(&source.project)
}

async fn rebuild(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<InstanceRebuildPost>,
) -> Reply {
    check_source(&caller, &post.source)?;
    accepted(instance::rebuild(&app, &caller.requestor, &params.project, &name, post.source).await?)
}

async fn create(State(app): Daemon, caller: Caller, params: Params, request: Request) -> Reply {
    if super::octets::is_upload(request.headers()) {
        return super::backups::import(&app, &caller.requestor, &params, request).await;
    }
    let Body(post) = Body::<InstancesPost>::from_request(request, &()).await?;
    check_source(&caller, &post.source)?;
    accepted(instance::create(&app, &caller.requestor, &params.project, post).await?)
}

async fn change_all(
    State(app): Daemon,
    Identity(who): Identity,
    params: Params,
    Body(put): Body<InstancesPut>,
) -> Reply {
    let state = put
        .state
        .ok_or_else(|| Error::Invalid("the body needs `state`".to_owned()))?;
    accepted(instance::change_all(&app, &who, &params.project, state).await?)
}

async fn show(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    if params.recursion > 0 {
        let full = instance::full(&app, &params.project, &name).await?;
        let put = full.instance.put.clone();
        return tagged(full, &put);
    }
    let view = instance::get(&app, &params.project, &name).await?;
    let put = view.put.clone();
    tagged(view, &put)
}

async fn change(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    edit: Edit,
) -> Reply {
    let current = instance::get(&app, &params.project, &name).await?;
    let put = edit.apply("instance", &current.put)?;
    let restores = !put.restore.is_empty();
    let operation = instance::update(&app, &who, &params.project, &name, put).await?;
    if edit.merges() {
        let ended = app.operations.wait(&operation.id, None).await?;
        return match ended.err {
            none if none.is_empty() => done(),
            error => Err(Error::Invalid(error).into()),
        };
    }
    if !restores {
        // The next edit compares with what this one writes.
        let (operations, id) = (app.operations.clone(), operation.id.clone());
        app.tasks.spawn(async move {
            drop(operations.wait(&id, None).await);
            drop(edit);
        });
    }
    accepted(operation)
}

async fn rename(
    State(app): Daemon,
    caller: Caller,
    Path(name): Path<String>,
    params: Params,
    Body(post): Body<InstancePost>,
) -> Reply {
    let who = caller.requestor.clone();
    caller.check_reach(&post.project)?;
    if !post.project.is_empty() && post.pool.is_empty() {
        let to = Destination {
            project: post.project,
            name: if post.name.is_empty() {
                name.clone()
            } else {
                post.name
            },
        };
        let from = (params.project.as_str(), name.as_str());
        return accepted(instance::relocate(&app, &who, from, to).await?);
    }
    if !post.project.is_empty() && post.project != params.project {
        return Err(Error::Invalid(
            "an instance goes to another project or to another pool, one after the other"
                .to_owned(),
        )
        .into());
    }
    if !post.pool.is_empty() {
        return accepted(instance::move_to_pool(&app, &who, &params.project, &name, post).await?);
    }
    if post.migration {
        let instance = (params.project.as_str(), name.as_str());
        return accepted(instance::migrate::send(&app, &who, instance, post).await?);
    }
    accepted(instance::rename(&app, &who, &params.project, &name, &post.name).await?)
}

async fn remove(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
) -> Reply {
    accepted(instance::delete(&app, &who, &params.project, &name).await?)
}

async fn state(State(app): Daemon, Path(name): Path<String>, params: Params) -> Reply {
    sync(instance::state_view(&app, &params.project, &name).await?)
}

async fn change_state(
    State(app): Daemon,
    Identity(who): Identity,
    Path(name): Path<String>,
    params: Params,
    Body(put): Body<InstanceStatePut>,
) -> Reply {
    accepted(instance::change_state(&app, &who, &params.project, &name, put).await?)
}
