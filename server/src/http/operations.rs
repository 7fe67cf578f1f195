//! `/1.0/operations`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use rlxc_api::Operation;

use super::extract::{Params, upgrade};
use super::identity::{Caller, Identity, Rights};
use super::render::{Reply, done, sync};
use crate::app::image::secret::is_secret_of;
use crate::context::App;
use crate::error::Error;
use crate::operation::Wanted;

type Daemon = State<Arc<App>>;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/1.0/operations", get(list))
        .route("/1.0/operations/{id}", get(show).delete(cancel))
        .route("/1.0/operations/{id}/wait", get(wait))
        .route("/1.0/operations/{id}/websocket", get(websocket))
}

async fn list(State(app): Daemon, caller: Caller, params: Params) -> Reply {
    let scope = match params.project.as_str() {
        "default" => String::new(),
        project => format!("?project={project}"),
    };
    let wanted = Wanted {
        ended: params.history || params.resource.is_some(),
        resource: params.resource.map(|path| path + &scope),
        project: (!params.all_projects).then_some(params.project),
        reach: match caller.rights {
            Rights::All => None,
            Rights::Projects(projects) => Some(projects),
            Rights::Metrics(_) | Rights::Public => Some(BTreeSet::new()),
        },
    };
    let all = app.operations.list(wanted).await?;
    let mut by_status: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for operation in all {
        by_status
            .entry(operation.status.to_lowercase())
            .or_default()
            .push(operation);
    }
    if params.recursion > 0 {
        return sync(by_status);
    }
    let urls = |list: Vec<Operation>| list.iter().map(Operation::url).collect::<Vec<_>>();
    sync(
        by_status
            .into_iter()
            .map(|(status, list)| (status, urls(list)))
            .collect::<BTreeMap<_, _>>(),
    )
}

async fn show(State(app): Daemon, Path(id): Path<String>) -> Reply {
    sync(app.operations.find(&id).await?)
}

async fn cancel(State(app): Daemon, Identity(who): Identity, Path(id): Path<String>) -> Reply {
    app.operations.cancel(&id, &who)?;
    done()
}

async fn wait(State(app): Daemon, caller: Caller, Path(id): Path<String>, params: Params) -> Reply {
    if !caller.is_trusted() {
        let given = params.secret.as_deref().unwrap_or_default();
        let live = app.operations.live(&id).ok_or(Error::Forbidden)?;
        if !is_secret_of(&live.view(), given) {
            return Err(Error::Forbidden.into());
        }
    }
    let limit = params
        .timeout
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(Duration::from_secs);
    sync(app.operations.wait(&id, limit).await?)
}

async fn websocket(
    State(app): Daemon,
    Path(id): Path<String>,
    params: Params,
    asked: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Reply {
    // First: a request that can't become a websocket must not use up a secret.
    let upgrade = upgrade(asked)?;
    let operation = app
        .operations
        .live(&id)
        .ok_or_else(|| Error::not_found("operation", &id))?;
    let place = operation.claim_socket(&params.secret.unwrap_or_default())?;
    Ok(upgrade.on_upgrade(|socket| async move {
        // An operation that ended meanwhile closes the socket by dropping it.
        drop(place.send(socket));
    }))
}
