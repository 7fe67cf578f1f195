//! `/` and `/1.0`, and what only the local client asks for.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::routing::{get, post, put};
use rlxc_api::{Cluster, RecoverPost, ServerCertificatePut};
use serde::Deserialize;

use super::edit::Edit;
use super::extract::Body;
use super::extract::Params;
use super::identity::{Caller, Identity};
use super::render::{Reply, done, sync, tagged};
use crate::app;
use crate::context::{App, blocking};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(versions))
        .route("/1.0", get(show).put(change).patch(change))
        .route("/1.0/cluster", get(cluster))
        .route("/1.0/resources", get(resources))
        .route("/internal/ready", get(ready))
        .route("/internal/shutdown", put(shutdown))
        .route("/internal/doctor", get(doctor))
        .route("/internal/recover/validate", post(find_lost))
        .route("/internal/recover/import", post(take_back))
        .route(
            "/internal/certificate",
            get(certificate).put(change_certificate),
        )
}

/// Whether to wait for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shutdown {
    force: String,
}

async fn versions() -> Reply {
    sync(["/1.0"])
}

async fn show(State(app): State<Arc<App>>, caller: Caller, params: Params) -> Reply {
    if !caller.is_trusted() {
        return sync(app::server::untrusted("untrusted"));
    }
    let mut server = app::server::get(&app, &caller.requestor).await?;
    server.environment.project = params.project;
    if !caller.is_unrestricted() {
        server.put.config.clear();
    }
    let put = server.put.clone();
    tagged(server, &put)
}

async fn change(State(app): State<Arc<App>>, Identity(who): Identity, edit: Edit) -> Reply {
    let current = app::server::get(&app, &who).await?.put;
    let put = edit.apply("server configuration", &current)?;
    app::server::update(&app, &who, put.config).await?;
    done()
}

/// There is none.
async fn cluster() -> Reply {
    let view = Cluster::default();
    let put = view.clone();
    tagged(view, &put)
}

async fn resources() -> Reply {
    sync(blocking(|| crate::resources::read(Path::new("/"))).await)
}

async fn ready() -> Reply {
    done()
}

/// Answers when all instances are down.
async fn shutdown(State(app): State<Arc<App>>, Query(how): Query<Shutdown>) -> Reply {
    app::shutdown::shut_down(&app, matches!(how.force.as_str(), "1" | "true")).await?;
    done()
}

async fn doctor(State(app): State<Arc<App>>) -> Reply {
    sync(blocking(move || crate::doctor::examine(app.places.dir())).await)
}

async fn find_lost(State(app): State<Arc<App>>, Body(post): Body<RecoverPost>) -> Reply {
    sync(app::recover::validate(&app, post).await?)
}

async fn take_back(State(app): State<Arc<App>>, Body(post): Body<RecoverPost>) -> Reply {
    app::recover::import(&app, post).await?;
    done()
}

async fn certificate(State(app): State<Arc<App>>) -> Reply {
    sync(app::server_certificate::get(&app).await?)
}

async fn change_certificate(
    State(app): State<Arc<App>>,
    Identity(who): Identity,
    Body(put): Body<ServerCertificatePut>,
) -> Reply {
    sync(app::server_certificate::change(&app, &who, put).await?)
}
